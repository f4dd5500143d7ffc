"""`POST /webhooks/<sender>`: from a request to alerts that Temporal has accepted."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from failback.gateway.bodies import demand_type, read_body
from failback.gateway.intake import Intake
from failback.gateway.limits import RateLimit
from failback.gateway.metrics import Metrics
from failback.gateway.parsers import Reading
from failback.gateway.refusals import RefusedError, request_id_of
from failback.gateway.senders import Sender
from failback.models.alerts import AlertSource
from failback.sections.gateway import LimitsConfig

logger = logging.getLogger("failback.gateway")


class Webhooks:
    """The endpoint of every sender.

    Args:
        senders: those that are configured.
        intake: where alerts go.
        limits: of bodies.
        rate: of requests.
        metrics: where alerts are counted.
    """

    def __init__(
        self,
        senders: Mapping[AlertSource, Sender],
        intake: Intake,
        limits: LimitsConfig,
        rate: RateLimit,
        metrics: Metrics,
    ) -> None:
        self._senders = senders
        self._intake = intake
        self._limits = limits
        self._rate = rate
        self._metrics = metrics

    async def receive(self, request: Request) -> Response:
        """Answer 202 once every alert of the body is accepted."""
        name = request.path_params["sender"]
        sender = self._senders.get(AlertSource(name)) if name in set(AlertSource) else None
        if sender is None:
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                "No such sender is configured.",
                "Configure it under gateway.webhooks.",
            )
        self._rate.take(f"{name} {request.client.host if request.client else ''}")
        sender.admit(request.headers)
        demand_type(request, sender.media_types)
        body = await read_body(request, self._limits)
        reading = await sender.read(request.headers, body)
        if len(reading.alerts) > self._limits.alerts:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body holds more than {self._limits.alerts} alerts.",
                "Send fewer at once, or raise gateway.limits.alerts.",
            )
        if reading.alerts:
            await self._intake.hand_over(reading.alerts)
        self._tell(AlertSource(name), reading, request)
        return JSONResponse(
            {
                "accepted": len(reading.alerts),
                "truncated": reading.truncated,
                "note": reading.note,
                "request_id": request_id_of(request),
            },
            status_code=HTTPStatus.ACCEPTED,
        )

    def _tell(self, source: AlertSource, reading: Reading, request: Request) -> None:
        for alert in reading.alerts:
            self._metrics.alerts.labels(source.value, alert.status.value).inc()
        if reading.truncated:
            self._metrics.truncated.labels(source.value).inc(reading.truncated)
            logger.warning(
                "%s left %d alerts out of a body",
                source.value,
                reading.truncated,
                extra={"facts": {"request_id": request_id_of(request)}},
            )
        request.scope["state"]["facts"] = {"alerts": len(reading.alerts)}
