"""`failback gateway`: the HTTP door of an estate, and tokens for it."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from failback.cli.output import ExitCode, redacted
from failback.cli.session import Session
from failback.errors import ConfigurationError
from failback.models.common import Payload


class NewToken(Payload):
    """A token that was just made, and what the configuration keeps of it."""

    token: str
    sha256: str


def make_token(session: Session) -> int:
    """Print a new API token; it is kept nowhere."""
    from failback.gateway.tokens import hash_of  # noqa: PLC0415 - starlette is not for --help

    token = secrets.token_urlsafe(32)
    made = NewToken(token=token, sha256=hash_of(token))

    def write(console: Console) -> None:
        console.print(f"token:  {made.token}", highlight=False, soft_wrap=True)
        console.print(f"sha256: {made.sha256}", highlight=False, soft_wrap=True)

    session.output.show(made, write)
    return ExitCode.DONE


def run_until_stopped(session: Session) -> int:
    """Serve the gateway in this process."""
    estate = session.estate
    if estate.gateway is None:
        raise ConfigurationError(
            f"{session.config} has no section `gateway`.",
            "Add one, with at least a sender or a token (docs/gateway.md).",
        )

    from failback.cli.readiness.estate import examine  # noqa: PLC0415 - as below
    from failback.gateway.api.bodies import Finding, Readiness  # noqa: PLC0415 - as below
    from failback.gateway.serve import compose_gateway, serve  # noqa: PLC0415 - not for --help
    from failback.telemetry import Telemetry, configure_logging  # noqa: PLC0415 - as above

    async def look() -> Readiness:
        report = await examine(estate)
        findings = [_safe(finding.model_dump(mode="json")) for finding in report.findings]
        return Readiness(
            estate=report.estate,
            answer=report.answer.value,
            looked_at=datetime.now(UTC),
            findings=tuple(Finding.model_validate(one) for one in findings),
        )

    configure_logging()
    telemetry = Telemetry.start(estate.telemetry, service="failback-gateway", metrics=False)
    try:
        app = compose_gateway(estate, session.audit(), look, telemetry=telemetry)
        asyncio.run(serve(app, estate.gateway))
    except KeyboardInterrupt:
        session.output.note("Stopped.")
    finally:
        telemetry.close()
    return ExitCode.DONE


def _safe(finding: dict[str, Any]) -> dict[str, Any]:
    """A finding in which no password of a connection string can be read."""
    return {**finding, **{name: redacted(finding[name]) for name in ("detail", "cure")}}
