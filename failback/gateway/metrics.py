"""What the gateway counts of its own work. Each application has a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Metrics:
    """The gateway's metrics, described in docs/telemetry.md."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "failback_gateway_requests_total",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "failback_gateway_request_seconds",
            "How long answers took.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.alerts = Counter(
            "failback_gateway_alerts_total",
            "Alerts that Temporal accepted.",
            ("source", "status"),
            registry=self.registry,
        )
        self.truncated = Counter(
            "failback_gateway_truncated_alerts_total",
            "Alerts that senders left out of bodies that became too long.",
            ("source",),
            registry=self.registry,
        )
        self.signals = Counter(
            "failback_gateway_signals_total",
            "Signals to AlertResponse, a batch of alerts each.",
            ("outcome",),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "failback_gateway_waiting_alerts",
            "Alerts that wait for Temporal.",
            registry=self.registry,
        )
