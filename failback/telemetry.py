"""Traces, metrics and logs of failback itself."""

import json
import logging
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.runtime import PrometheusConfig, Runtime
from temporalio.runtime import TelemetryConfig as RuntimeTelemetry

from failback.config import TelemetryConfig


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
        """Open what is configured. `exporter` replaces OTLP, for tests of the traces."""
        if exporter is None and config.otlp_endpoint:
            exporter = OTLPSpanExporter(f"{config.otlp_endpoint.rstrip('/')}/v1/traces")
        provider = None
        if exporter is not None:
            provider = TracerProvider(resource=Resource.create({"service.name": service}))
            provider.add_span_processor(BatchSpanProcessor(exporter))
        if not metrics or not config.metrics_address:
            return cls(runtime=None, metrics_address="", provider=provider)
        address = _with_free_port(config.metrics_address)
        runtime = Runtime(
            telemetry=RuntimeTelemetry(metrics=PrometheusConfig(bind_address=address))
        )
        logging.getLogger("failback.telemetry").info("metrics at http://%s/metrics", address)
        return cls(runtime=runtime, metrics_address=address, provider=provider)

    def interceptors(self) -> Sequence[TracingInterceptor]:
        """Interceptors for the client, which hands them on to its workers."""
        if self.provider is None:
            return ()
        return (TracingInterceptor(self.provider.get_tracer("failback")),)

    def close(self) -> None:
        """Send what is left, and stop."""
        if self.provider is not None:
            self.provider.shutdown()


def _with_free_port(address: str) -> str:
    """An address whose port 0 was replaced by one that is free now."""
    host, _, port = address.rpartition(":")
    if port != "0":
        return address
    with socket.create_server((host, 0)) as listener:
        return f"{host}:{listener.getsockname()[1]}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, text, and Temporal's context."""

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
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in entry.items() if value is not None})


def configure_logging(level: int = logging.INFO) -> None:
    """Structured logs on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
