"""The metrics that detection reads, under the names that the specification gives them."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_AREAS = ("auth", "rest", "functions", "storage")


class Metrics:
    """Counters of one product process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests_total",
            "Requests answered.",
            ("code", "method", "path_class"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to its answer.",
            ("path_class",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.connection_attempts = Counter(
            "database_connection_attempts_total",
            "Times a database connection was asked for.",
            registry=self.registry,
        )
        self.connection_success = Counter(
            "database_connection_success_total",
            "Times a database connection was given.",
            registry=self.registry,
        )
        self.auth_attempts = Counter(
            "auth_attempts_total", "Sign-ups, logins and refreshes.", registry=self.registry
        )
        self.auth_success = Counter(
            "auth_success_total", "Those that issued a session.", registry=self.registry
        )
        self.ai_attempts = Counter(
            "ai_query_attempts_total", "Questions asked.", registry=self.registry
        )
        self.ai_success = Counter(
            "ai_query_success_total", "Questions answered.", registry=self.registry
        )


def path_class(path: str) -> str:
    """The part of the product that a path belongs to; bounded, unlike paths."""
    area = path.split("/", 2)[1] if path.startswith("/") else ""
    return area if area in _AREAS else "other"
