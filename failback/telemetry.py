"""Traces, metrics and logs of failback itself."""

import json
import logging
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.context import Context, attach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Span, set_span_in_context
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.runtime import PrometheusConfig, Runtime
from temporalio.runtime import TelemetryConfig as RuntimeTelemetry

from failback.errors import ConfigurationError
from failback.sections.proof import TelemetryConfig

BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of every histogram of seconds: a step takes from a millisecond to its budget."""

_HISTOGRAMS = (
    "failback_step_seconds",
    "failback_sync_batch_seconds",
    "failback_catch_up_share_seconds",
    "failback_notification_seconds",
)
_EXPORT_SECONDS = 3
"""A collector that is away must not keep a process from ending."""

_POLLED = ("QueryWorkflow:", "HandleQuery:")


class WithoutPolling(Sampler):
    """Keeps everything but queries: whoever watches a rollback asks four times a second."""

    def __init__(self) -> None:
        self._rest = ParentBased(DEFAULT_ON)

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *rest: Any, **named: Any
    ) -> SamplingResult:
        """See `Sampler.should_sample`."""
        if name.startswith(_POLLED):
            return SamplingResult(Decision.DROP)
        return self._rest.should_sample(parent_context, trace_id, name, *rest, **named)

    def get_description(self) -> str:
        """See `Sampler.get_description`."""
        return "everything but queries"


@dataclass(frozen=True)
class Telemetry:
    """What a process publishes about itself.

    Attributes:
        runtime: Temporal's runtime with the Prometheus endpoint; None where it has none.
        metrics_address: `host:port` of that endpoint.
        provider: the tracer provider; None where traces are off.
    """

    runtime: Runtime | None
    metrics_address: str
    provider: TracerProvider | None

    @classmethod
    def start(
        cls,
        config: TelemetryConfig,
        *,
        service: str,
        metrics: bool = True,
        exporter: SpanExporter | None = None,
    ) -> "Telemetry":
        """Open what is configured. `exporter` replaces OTLP, for tests of the traces.

        Raises:
            ConfigurationError: metrics cannot be served at the configured address.
        """
        if exporter is None and config.otlp_endpoint:
            address = f"{config.otlp_endpoint.rstrip('/')}/v1/traces"
            exporter = OTLPSpanExporter(address, timeout=_EXPORT_SECONDS)
        provider = None
        if exporter is not None:
            provider = TracerProvider(
                sampler=WithoutPolling(), resource=Resource.create({"service.name": service})
            )
            provider.add_span_processor(BatchSpanProcessor(exporter))
        if not metrics or not config.metrics_address:
            return cls(runtime=None, metrics_address="", provider=provider)
        address, runtime = _serving(config.metrics_address)
        logging.getLogger("failback.telemetry").info("metrics at http://%s/metrics", address)
        return cls(runtime=runtime, metrics_address=address, provider=provider)

    def interceptors(self) -> Sequence[TracingInterceptor]:
        """Interceptors for the client, which hands them on to its workers."""
        if self.provider is None:
            return ()
        return (TracingInterceptor(self.provider.get_tracer("failback")),)

    def began(self, name: str) -> Span | None:
        """Open a span that what follows in this context belongs to; the caller ends it."""
        if self.provider is None:
            return None
        span = self.provider.get_tracer("failback").start_span(name)
        attach(set_span_in_context(span))
        return span

    def close(self) -> None:
        """Send what is left, and stop."""
        if self.provider is not None:
            self.provider.shutdown()


def _serving(wanted: str) -> tuple[str, Runtime]:
    """The address of a Prometheus endpoint, and the runtime that serves it."""
    try:
        address = _with_free_port(wanted)
        metrics = PrometheusConfig(
            bind_address=address,
            histogram_bucket_overrides=dict.fromkeys(_HISTOGRAMS, BUCKETS_SECONDS),
        )
        return address, Runtime(telemetry=RuntimeTelemetry(metrics=metrics))
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"Metrics cannot be served at {wanted}: {error}.",
            "Give telemetry.metrics_address as host:port of this machine, with a port that is free "
            "(0 takes one).",
        ) from error


def _with_free_port(address: str) -> str:
    """An address whose port 0 was replaced by one that is free now."""
    host, _, port = address.rpartition(":")
    if port != "0":
        return address
    with socket.create_server((host, 0)) as listener:
        return f"{host}:{listener.getsockname()[1]}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, text, facts, and Temporal's context."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        for name in ("temporal_workflow", "temporal_activity"):
            context = getattr(record, name, None)
            if isinstance(context, dict):
                entry["workflow_id"] = context.get("workflow_id")
                entry["activity"] = context.get("activity_type")
                entry["attempt"] = context.get("attempt")
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            entry.update(facts)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in entry.items() if value is not None})


def configure_logging(level: int = logging.INFO) -> None:
    """Structured logs on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
