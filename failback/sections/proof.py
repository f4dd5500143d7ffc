"""What failback keeps and tells about its own work."""

from pathlib import Path

from failback.sections.base import Section


class CertificatesConfig(Section):
    """Signed proof that both sides held the same rows."""

    signing_key: Path
    """Private Ed25519 key, made by `failback certificate keygen`; for the worker alone."""
    directory: Path
    """Where certificates are written."""


class TelemetryConfig(Section):
    """Traces and metrics of failback itself."""

    otlp_endpoint: str = ""
    """Base URL of an OTLP/HTTP collector; empty keeps traces off."""
    metrics_address: str = "127.0.0.1:0"
    """Where the worker serves Prometheus metrics; port 0 takes a free one."""
