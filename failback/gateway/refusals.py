"""What a request is answered when it is not granted: a status, the cause, and the cure."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from failback.errors import (
    ApprovalRefusedError,
    AuditError,
    ConfigurationError,
    FailbackError,
    GateRefusedError,
    RollbackNotFoundError,
    RollbackRunningError,
    SafetyRuleError,
    UnreachableError,
    WebhookError,
)

RETRY_SECONDS = 5
"""After so long a sender may try again where we could not take what it sent."""

STATUS_OF: Mapping[type[FailbackError], HTTPStatus] = {
    WebhookError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ConfigurationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    AuditError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RollbackNotFoundError: HTTPStatus.NOT_FOUND,
    RollbackRunningError: HTTPStatus.CONFLICT,
    ApprovalRefusedError: HTTPStatus.CONFLICT,
    GateRefusedError: HTTPStatus.CONFLICT,
    SafetyRuleError: HTTPStatus.CONFLICT,
    UnreachableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""How errors that operators know are said in HTTP."""


class RefusedError(FailbackError):
    """A request is refused.

    Args:
        status: of HTTP.
        cause: what is wrong, without a secret.
        cure: what the sender can do.
        headers: that belong to the status.
    """

    def __init__(
        self,
        status: HTTPStatus,
        cause: str,
        cure: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(cause, cure)
        self.status = status
        self.headers = dict(headers or {})


def unauthorised(cause: str, cure: str, *, scheme: str = "Bearer") -> RefusedError:
    """Nobody known sent this."""
    return RefusedError(HTTPStatus.UNAUTHORIZED, cause, cure, {"WWW-Authenticate": scheme})


def refusal(error: FailbackError) -> RefusedError:
    """An error as HTTP says it."""
    if isinstance(error, RefusedError):
        return error
    for kind, status in STATUS_OF.items():
        if isinstance(error, kind):
            away = {"Retry-After": str(RETRY_SECONDS)} if error.retryable else None
            return RefusedError(status, error.cause, error.cure, away)
    return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, error.cause, error.cure)


def problem(
    request_id: str,
    status: int,
    cause: str,
    cure: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A refusal as RFC 9457 writes it, with the cure and the request's id."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": cause,
            "cure": cure,
            "request_id": request_id,
        },
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/problem+json",
    )


def request_id_of(request: Request) -> str:
    """The id that this request is found by in the log."""
    return str(request.scope.get("state", {}).get("request_id", ""))


async def on_error(request: Request, error: Exception) -> Response:
    """Answer for every error that was raised on purpose."""
    if not isinstance(error, FailbackError):
        raise error
    refused = refusal(error)
    return problem(
        request_id_of(request), refused.status, refused.cause, refused.cure, refused.headers
    )
