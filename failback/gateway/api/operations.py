"""What one operation of the API is, and how a request becomes a call of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.service import RPCError

from failback.errors import UnreachableError
from failback.gateway.bodies import demand_type, parsed, read_body
from failback.gateway.limits import RateLimit
from failback.gateway.parsers.reading import explained
from failback.gateway.refusals import RefusedError
from failback.gateway.tokens import ApiTokens, Holder, Role, demand_role
from failback.sections.gateway import LimitsConfig

EVERYBODY = frozenset(Role)

_HEADER_LIMIT = 200


@dataclass(frozen=True)
class Call:
    """One authenticated request of one operation."""

    holder: Holder
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: BaseModel | None


@dataclass(frozen=True)
class Operation:
    """One operation, from which its route and its description are made.

    Attributes:
        roles: whose tokens may call it.
        answer: the shape of a granted answer, sent with `status`.
        body: the shape of what is sent; None where nothing is.
        query: names of parameters, with their descriptions.
        headers: names of headers that must be there, with their descriptions.
        refusals: statuses that it may answer besides those of every operation.
    """

    name: str
    method: str
    path: str
    summary: str
    act: Callable[[Call], Awaitable[BaseModel]]
    answer: type[BaseModel]
    roles: frozenset[Role] = EVERYBODY
    status: HTTPStatus = HTTPStatus.OK
    body: type[BaseModel] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: Sequence[HTTPStatus] = ()


class Api:
    """Serves operations to holders of tokens.

    Args:
        operations: the table.
        tokens: who may call.
        limits: of bodies.
        rate: of requests.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        tokens: ApiTokens,
        limits: LimitsConfig,
        rate: RateLimit,
    ) -> None:
        self._operations = operations
        self._tokens = tokens
        self._limits = limits
        self._rate = rate

    def routes(self) -> list[Route]:
        """A route for each operation."""
        return [
            Route(one.path, self._endpoint(one), methods=[one.method], name=one.name)
            for one in self._operations
        ]

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._rate.take(f"api {request.client.host if request.client else ''}")
            holder = self._tokens.holder(request.headers)
            request.scope["state"]["facts"] = {"who": holder.name}
            demand_role(holder, operation.roles)
            call = Call(
                holder=holder,
                path=request.path_params,
                query=self._query(operation, request),
                headers={name: self._header(request, name) for name in operation.headers},
                body=await self._body(operation, request),
            )
            try:
                answer = await operation.act(call)
            except RPCError as error:
                raise UnreachableError(
                    f"Temporal does not answer: {error.message}.", "Try again later."
                ) from error
            return JSONResponse(answer.model_dump(mode="json"), status_code=operation.status)

        return endpoint

    @staticmethod
    def _query(operation: Operation, request: Request) -> Mapping[str, str]:
        unknown = sorted(set(request.query_params) - set(operation.query))
        if unknown:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"There is no parameter {unknown[0][:100]!r} here.",
                f"Known: {', '.join(operation.query) or 'none'}.",
            )
        return dict(request.query_params)

    @staticmethod
    def _header(request: Request, name: str) -> str:
        value = request.headers.get(name, "").strip()
        if not value or len(value) > _HEADER_LIMIT or not value.isprintable():
            raise RefusedError(
                HTTPStatus.BAD_REQUEST,
                f"{name} is missing or longer than {_HEADER_LIMIT} characters.",
                f"Send {name}, the same one when the request is repeated.",
            )
        return value

    async def _body(self, operation: Operation, request: Request) -> BaseModel | None:
        if operation.body is None:
            return None
        demand_type(request)
        document = parsed(await read_body(request, self._limits), self._limits)
        try:
            return operation.body.model_validate(document)
        except ValidationError as error:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"The body does not fit: {explained(error)}.",
                "See /api/openapi.json.",
            ) from error
