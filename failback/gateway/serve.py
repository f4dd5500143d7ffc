"""The gateway as a process: its real ports, and uvicorn in front of them."""

import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from failback.approvals.links import LinkSigner
from failback.config import Estate
from failback.errors import ConfigurationError
from failback.gateway.api.looking import Look
from failback.gateway.api.recoveries import RecoveryDesk
from failback.gateway.api.rollbacks import RollbackDesk
from failback.gateway.app import GatewayPorts, build_app
from failback.gateway.intake import CoalescingIntake, signals_to_temporal
from failback.gateway.metrics import Metrics
from failback.gateway.senders import senders_of
from failback.gateway.signed_links import Desk, SignedLinks
from failback.gateway.sns import HttpVisits
from failback.gateway.temporal import TemporalLink
from failback.ports import AuditLog
from failback.sections.gateway import GatewayConfig
from failback.telemetry import Telemetry
from failback.temporal.recoveries import Recoveries
from failback.temporal.rollbacks import Rollbacks

logger = logging.getLogger("failback.gateway")

_BACKLOG = 2048
_GRACE_SECONDS = 10


def compose_gateway(
    estate: Estate,
    audit: AuditLog,
    look: Look,
    *,
    telemetry: Telemetry | None = None,
) -> Starlette:
    """The gateway of an estate on its real ports, which it closes when it ends.

    Args:
        estate: with a section `gateway`.
        audit: where events are kept, and alerts are read.
        look: looks at every part of the estate.
        telemetry: traces of calls to Temporal.
    """
    config = estate.gateway or GatewayConfig()
    metrics = Metrics()
    temporal = TemporalLink(estate, telemetry.interceptors() if telemetry else ())
    visits = HttpVisits()
    send = signals_to_temporal(temporal.client, estate.estate, estate.temporal.task_queue)

    async def desk() -> RollbackDesk:
        return Rollbacks(await temporal.client(), estate)

    async def recoveries() -> RecoveryDesk:
        return Recoveries(await temporal.client(), estate.estate)

    async def close() -> None:
        await visits.aclose()
        await audit.aclose()

    ports = GatewayPorts(
        senders=senders_of(config, visits),
        intake=CoalescingIntake(send, metrics, config.handover_seconds),
        temporal=temporal,
        desk=desk,
        recoveries=recoveries,
        audit=audit,
        look=look,
        links=_links(estate, desk),
    )
    return build_app(estate, ports, metrics, closing=close)


def _links(estate: Estate, desk: Callable[[], Awaitable[Desk]]) -> SignedLinks | None:
    """What is behind approval links; None where nobody has configured a key for them."""
    key = estate.approvals.link_key
    if key is None:
        return None
    signer = LinkSigner(key.get_secret_value(), estate.approvals.link_seconds)
    return SignedLinks(estate.estate, signer, desk)


async def serve(app: Starlette, config: GatewayConfig) -> None:
    """Listen until SIGTERM or SIGINT; requests under way are answered first.

    Raises:
        ConfigurationError: nobody can listen at the address, or the certificate cannot be used.
    """
    listener = _listener(config.address)
    try:
        settings = uvicorn.Config(
            app,
            backlog=_BACKLOG,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=list(config.trusted_proxies),
            ssl_certfile=config.tls_certificate,
            ssl_keyfile=config.tls_key,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        try:
            settings.load()
        except OSError as error:
            raise ConfigurationError(
                f"gateway.tls_certificate and tls_key cannot be used: {error}.",
                "Name a certificate and its private key, both PEM.",
            ) from error
        host, port = listener.getsockname()[:2]
        logger.info("the gateway listens on %s:%d", host, port)
        await _Server(settings).serve(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Ends when it is told to, and lets its process go on to its own end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """See `uvicorn.Server.handle_exit`; the second signal does not wait for requests."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        listener = socket.create_server(
            (host.strip("[]"), int(port)),
            family=socket.AF_INET6 if host.startswith("[") else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"The gateway cannot listen at {address}: {error}.",
            "Give gateway.address as host:port of this machine, with a port that is free.",
        ) from error
    # Connections inherit it. asyncio sets it only where a socket names its protocol, and without
    # it an answer of two parts waits 40 ms for the sender's acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
