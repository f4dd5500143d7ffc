"""Payloads about where customers are sent: doors, weights, names."""

from datetime import datetime

from failback.models.common import Outcome, Payload, Service, Side


class BackendRoute(Payload):
    """One balancer backend with the server that stands for each side."""

    backend: str
    source: str = "source"
    target: str = "target"

    def server(self, side: Side) -> str:
        """The name of the server of one side."""
        return self.source if side is Side.SOURCE else self.target


class ServiceRoute(Payload):
    """How one service's traffic is routed; a service may have several backends."""

    service: Service
    backends: tuple[BackendRoute, ...]


class DnsRecord(Payload):
    """A name of the product and where each side's host is."""

    name: str
    """Fully qualified, with its final dot."""
    source: str
    target: str
    ttl: int = 60

    def host(self, side: Side) -> str:
        """The host that the name points to when this side is live."""
        return self.source if side is Side.SOURCE else self.target


class ServerWeight(Payload):
    """A weight as the balancer reports it."""

    backend: str
    server: str
    weight: int
    sessions: int = 0
    """Requests or connections in flight."""
    up: bool = True


class ServerAddress(Payload):
    """Where the balancer sends what one of its servers gets."""

    backend: str
    server: str
    host: str
    port: int


class WeightsReport(Payload):
    """Weights read back after they were set."""

    outcome: Outcome
    weights: tuple[ServerWeight, ...] = ()
    detail: str = ""
    attempts: int = 1


class DoorReport(Payload):
    """The door of the balancer: closed while requests are held, else open."""

    outcome: Outcome
    supported: bool = True
    """False where the balancer cannot hold requests; clients retry there."""
    closed: bool = False
    at: datetime
    in_flight: int = 0
    """Requests still served by the side that is being left."""
    detail: str = ""
    attempts: int = 1


class NameAnswer(Payload):
    """What one resolver says about one name."""

    resolver: str
    name: str
    answer: str | None
    ttl: int | None = None
    detail: str = ""


class DnsReport(Payload):
    """Names after they were changed, as every configured resolver answers."""

    outcome: Outcome
    answers: tuple[NameAnswer, ...] = ()
    detail: str = ""
    attempts: int = 1


class CheckResult(Payload):
    """One check of the running service."""

    name: str
    outcome: Outcome
    milliseconds: float = 0.0
    detail: str = ""


class ServiceReport(Payload):
    """All checks of the running service; availability is passed over all."""

    checks: tuple[CheckResult, ...]
    attempts: int = 1

    @property
    def availability(self) -> float:
        """Passed checks over checks, 0..1; 0 without a check."""
        passed = sum(check.outcome is Outcome.SUCCEEDED for check in self.checks)
        return passed / len(self.checks) if self.checks else 0.0
