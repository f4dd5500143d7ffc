"""`/approve/<token>`: pages behind the signed one-time links that notifications hold.

Looking decides nothing: mail scanners and previews look, too. What decides is the form, which a
browser can send only from the page that it was given: a cookie and a hidden field hold the same
random value, and a request that says it came from elsewhere is refused.
"""

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from failback.errors import FailbackError
from failback.gateway.bodies import demand_type, read_body
from failback.gateway.limits import RateLimit
from failback.gateway.refusals import RefusedError, refusal
from failback.models.rollback import RecordedDecision
from failback.sections.gateway import GatewayConfig

_FORM = frozenset({"application/x-www-form-urlencoded"})
_COOKIE = "failback-csrf"
_TOKEN_LIMIT = 4096
_COMMENT_LIMIT = 1000


class LinkView(BaseModel):
    """What a link's holder is shown before deciding."""

    model_config = ConfigDict(frozen=True)

    estate: str
    rollback_id: str
    level: int
    reason: str
    requested_by: str
    approvals_given: int
    approvals_needed: int
    plan_hash: str
    who: str
    role: str = ""
    verbs: tuple[str, ...] = ("approve", "reject")
    expires_at: datetime


class ApprovalLinks(Protocol):
    """What signed links say, and what is decided by them.

    Both raise ApprovalRefusedError where a link is no good, was used, or has ended.
    """

    async def look(self, token: str) -> LinkView:
        """What a link is about. Changes nothing, however often it is called."""
        ...

    async def decide(self, token: str, verb: str, comment: str) -> RecordedDecision:
        """Decide in the name of the link's holder; once."""
        ...


class LinkPages:
    """The pages.

    Args:
        links: what is behind them.
        config: where browsers reach them, and limits.
        rate: of requests.
    """

    def __init__(self, links: ApprovalLinks, config: GatewayConfig, rate: RateLimit) -> None:
        self._links = links
        self._limits = config.limits
        self._rate = rate
        self._origin = _origin(config.public_url)
        self._secure = self._origin.startswith("https://")
        self._cookie = f"__Host-{_COOKIE}" if self._secure else _COOKIE

    def routes(self) -> list[Route]:
        """The pages' routes."""
        return [
            Route("/approve/{token}", self.show, methods=["GET"], name="show_link"),
            Route("/approve/{token}", self.decide, methods=["POST"], name="use_link"),
        ]

    async def show(self, request: Request) -> Response:
        """What the link is about, with a form."""
        try:
            view = await self._links.look(self._token(request))
        except FailbackError as error:
            return _refused(error)
        csrf = secrets.token_urlsafe(32)
        title = f"Level {view.level} rollback of {view.estate}"
        page = _page(title, view=view, csrf=csrf)
        page.set_cookie(
            self._cookie,
            csrf,
            max_age=3600,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )
        return page

    async def decide(self, request: Request) -> Response:
        """What was decided."""
        try:
            token = self._token(request)
            form = await self._form(request)
            verb = form.get("verb", "")
            if verb not in (await self._links.look(token)).verbs:
                raise RefusedError(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "The form names no decision.", "Open the link."
                )
            comment = form.get("comment", "").strip()[:_COMMENT_LIMIT]
            decided = await self._links.decide(token, verb, comment)
        except FailbackError as error:
            return _refused(error)
        text = f"{decided.who}: {decided.verb.replace('_', ' ')}, at {decided.at:%F %T} UTC."
        return _page("Your decision is recorded", text)

    def _token(self, request: Request) -> str:
        self._rate.take(f"link {request.client.host if request.client else ''}")
        token: str = request.path_params["token"]
        if len(token) > _TOKEN_LIMIT or not token.isascii():
            raise RefusedError(
                HTTPStatus.NOT_FOUND, "There is no such link.", "Use the newest notification's."
            )
        return token

    async def _form(self, request: Request) -> Mapping[str, str]:
        """The form's fields, where this browser was given the form by us.

        Raises:
            RefusedError: 403 where it was not.
        """
        demand_type(request, _FORM)
        elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in _FROM_HERE
        origin = request.headers.get("origin", "")
        if self._origin and origin and origin != self._origin:
            elsewhere = True
        body = await read_body(request, self._limits)
        try:
            fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=10)
        except ValueError as error:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "The form cannot be read.", "Open the link again."
            ) from error
        form = {name: values[0] for name, values in fields.items()}
        kept = request.cookies.get(self._cookie, "")
        same = hmac.compare_digest(kept.encode(), form.get("csrf", "").encode())
        if elsewhere or not kept or not same:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "The decision was not sent from the page behind the link.",
                "Open the link, with cookies allowed, and decide there.",
            )
        return form


_FROM_HERE = frozenset({"same-origin", "none"})


def _origin(public_url: str) -> str:
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc}" if public_url else ""


def _refused(error: FailbackError) -> Response:
    refused = refusal(error)
    page = _page(HTTPStatus(refused.status).phrase, f"{refused.cause} {refused.cure}".strip())
    page.status_code = refused.status
    page.headers.update(
        {name: value for name, value in refused.headers.items() if name != "WWW-Authenticate"}
    )
    return page


def _page(title: str, text: str = "", view: LinkView | None = None, csrf: str = "") -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        _template().render(title=title, text=text, view=view, csrf=csrf, nonce=nonce),
        headers={
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
                "frame-ancestors 'none'; base-uri 'none'"
            ),
            "X-Frame-Options": "DENY",
        },
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("failback.gateway"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("approve.html.j2")
