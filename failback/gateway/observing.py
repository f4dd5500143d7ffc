"""Around every request: an id, a line in the log, figures, safe headers, and an answer to bugs.

Paths are told as routes, never as they were asked for: some hold a signed token.
"""

import logging
import re
import secrets
import time
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from failback.gateway.metrics import Metrics
from failback.gateway.refusals import problem

logger = logging.getLogger("failback.gateway")

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Observing:
    """ASGI middleware, the outermost.

    Args:
        app: what is asked.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("x-request-id", "")
        request_id = told if _ID.fullmatch(told) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            logger.exception("a request failed", extra={"facts": {"request_id": request_id}})
            if status:
                raise
            answer = problem(
                request_id,
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "The gateway failed at this request.",
                "Look for the request's id in the gateway's log.",
            )
            await answer(scope, receive, sending)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = str(getattr(scope.get("route"), "path", "unknown"))
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        client = scope.get("client")
        facts: dict[str, Any] = {
            "request_id": scope["state"]["request_id"],
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 6),
            "client": client[0] if client else "",
            **scope["state"].get("facts", {}),
        }
        logger.log(
            logging.DEBUG if route in _QUIET else logging.INFO,
            "%s %s: %d",
            method,
            route,
            status,
            extra={"facts": facts},
        )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
