"""The application: every route of the gateway on its ports, with what surrounds them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from failback.config import Estate
from failback.errors import FailbackError
from failback.gateway.api import Api, Backing, described, operations_of
from failback.gateway.api.looking import Look
from failback.gateway.api.recoveries import Recoveries
from failback.gateway.api.rollbacks import Desk
from failback.gateway.intake import Intake
from failback.gateway.limits import RateLimit
from failback.gateway.links import ApprovalLinks, LinkPages
from failback.gateway.metrics import Metrics
from failback.gateway.observing import Observing
from failback.gateway.refusals import (
    RETRY_SECONDS,
    RefusedError,
    on_error,
    problem,
    request_id_of,
)
from failback.gateway.senders import Sender
from failback.gateway.temporal import Reachability
from failback.gateway.tokens import ApiTokens
from failback.gateway.webhooks import Webhooks
from failback.models.alerts import AlertSource
from failback.ports import AuditLog
from failback.sections.gateway import GatewayConfig

logger = logging.getLogger("failback.gateway")


@dataclass(frozen=True)
class GatewayPorts:
    """The outside world as the gateway sees it."""

    senders: Mapping[AlertSource, Sender]
    intake: Intake
    temporal: Reachability
    desk: Desk
    recoveries: Recoveries
    audit: AuditLog
    look: Look
    links: ApprovalLinks | None = None
    """None where no links are signed: the pages are not there then."""


def build_app(
    estate: Estate,
    ports: GatewayPorts,
    metrics: Metrics,
    *,
    closing: Callable[[], Awaitable[None]] | None = None,
) -> Starlette:
    """The gateway of an estate as an ASGI application.

    Args:
        estate: its configuration, of which `gateway` is used.
        ports: what it works on.
        metrics: what `/metrics` shows.
        closing: gives the ports back when the server ends.
    """
    config = estate.gateway or GatewayConfig()
    rate = RateLimit(config.limits)
    webhooks = Webhooks(ports.senders, ports.intake, config.limits, rate, metrics)
    operations = operations_of(
        Backing(estate, ports.desk, ports.recoveries, ports.audit, ports.intake, ports.look)
    )
    description = cache(lambda: described(operations, config.public_url))

    async def show_description(_: Request) -> Response:
        return JSONResponse(description())

    routes: list[BaseRoute] = [
        Route("/webhooks/{sender}", webhooks.receive, methods=["POST"], name="receive_alerts"),
        Route("/api/openapi.json", show_description, methods=["GET"], name="show_description"),
        *Api(operations, ApiTokens(config.tokens), config.limits, rate).routes(),
        *_about_itself(ports.temporal, metrics),
    ]
    if ports.links is not None:
        routes += LinkPages(ports.links, config, rate).routes()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await ports.intake.aclose()
            if closing is not None:
                await closing()

    return Starlette(
        routes=routes,
        middleware=[Middleware(Observing, metrics=metrics)],
        exception_handlers={FailbackError: on_error, HTTPException: _on_http_error},
        lifespan=lifespan,
    )


def _about_itself(temporal: Reachability, metrics: Metrics) -> list[Route]:
    async def healthy(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        wrong = await temporal.why_not()
        if wrong:
            # Anybody may ask here, and an address is nobody's business.
            logger.warning("not ready: %s", wrong)
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Temporal does not answer.",
                "Alerts are refused with 503 until Temporal is back, so that senders repeat.",
                {"Retry-After": str(RETRY_SECONDS)},
            )
        return JSONResponse({"status": "ready"})

    async def measured(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthy, methods=["GET"], name="healthz"),
        Route("/readyz", ready, methods=["GET"], name="readyz"),
        Route("/metrics", measured, methods=["GET"], name="metrics"),
    ]


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Paths and methods that are not there, said as every other refusal."""
    if not isinstance(error, HTTPException):
        raise error
    return problem(
        request_id_of(request),
        error.status_code,
        str(error.detail),
        "See docs/gateway.md for what is there.",
        error.headers,
    )
