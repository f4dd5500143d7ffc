"""What every command is given: the options that all share, and ways to reach the estate."""

import getpass
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from failback.cli.output import Output

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from failback.backup_ports import Backups
    from failback.config import Estate
    from failback.models.common import Level
    from failback.ports import AuditLog, ReverseSyncEngine
    from failback.recovery_ports import ChangeArchive, Recovery
    from failback.telemetry import Telemetry
    from failback.temporal.post_mortems import PostMortems
    from failback.temporal.recoveries import Recoveries
    from failback.temporal.responses import Responses
    from failback.temporal.rollbacks import Rollbacks

CONFIG_VARIABLE = "FAILBACK_CONFIG"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file; else $FAILBACK_CONFIG, else ./failback.yaml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as one JSON document.")]

OptionalId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Of a rollback; else the newest.")
]


@dataclass(frozen=True)
class Session:
    """One command's run.

    Args:
        config: the configuration file.
        command: the command's words, which name its trace.
        output: where facts, notes and errors go.
    """

    config: Path
    command: str = "failback"
    output: Output = field(default_factory=Output)

    @cached_property
    def estate(self) -> "Estate":
        """The estate; raises ConfigurationError where its file cannot be used."""
        from failback.config import load  # noqa: PLC0415 - pydantic-settings takes 0.3 s

        return load(self.config)

    def engine(self) -> "ReverseSyncEngine":
        """The reverse sync of this estate. The caller closes it."""
        estate = self.estate
        from failback.reverse_sync.engine import ReverseSync  # noqa: PLC0415 - not for --help
        from failback.reverse_sync.settings import SyncSettings  # noqa: PLC0415 - as above

        return ReverseSync(SyncSettings.of(estate))

    def audit(self) -> "AuditLog":
        """The audit log of this estate. The caller closes it."""
        estate = self.estate
        from failback.providers.audit import open_audit_log  # noqa: PLC0415 - not for --help

        return open_audit_log(estate.estate, estate.audit)

    def backups(self) -> "Backups":
        """The backups of this estate. The caller closes them."""
        estate = self.estate
        from failback.providers.backup import open_backups  # noqa: PLC0415 - boto3 takes 0.3 s

        return open_backups(estate, self.config)

    def archive(self) -> "ChangeArchive | None":
        """The change archive of this estate; None where it has none. The caller closes it."""
        estate = self.estate
        from failback.change_archive.opening import open_archive  # noqa: PLC0415 - boto3 is slow

        return open_archive(estate)

    def recovery(self) -> "Recovery | None":
        """What assesses and restores this estate; None where it has none. The caller closes it."""
        estate = self.estate
        from failback.providers.recovery.opening import open_recovery  # noqa: PLC0415 - boto3 is slow

        return open_recovery(estate)

    async def rollbacks(self) -> "Rollbacks":
        """The rollbacks of this estate; raises UnreachableError without Temporal."""
        estate = self.estate
        from failback.temporal.client import connect  # noqa: PLC0415 - temporalio takes 0.5 s
        from failback.temporal.rollbacks import Rollbacks  # noqa: PLC0415 - as above

        interceptors = () if self._traced is None else self._traced[0].interceptors()
        return Rollbacks(await connect(estate, interceptors=interceptors), estate)

    async def recoveries(self) -> "Recoveries":
        """The disaster recoveries of this estate; raises UnreachableError without Temporal."""
        estate = self.estate
        from failback.temporal.client import connect  # noqa: PLC0415 - temporalio takes 0.5 s
        from failback.temporal.recoveries import Recoveries  # noqa: PLC0415 - as above

        interceptors = () if self._traced is None else self._traced[0].interceptors()
        return Recoveries(await connect(estate, interceptors=interceptors), estate.estate)

    async def post_mortems(self) -> "PostMortems":
        """The post-mortems of this estate; raises UnreachableError without Temporal."""
        estate = self.estate
        from failback.temporal.client import connect  # noqa: PLC0415 - temporalio takes 0.5 s
        from failback.temporal.post_mortems import PostMortems  # noqa: PLC0415 - as above

        interceptors = () if self._traced is None else self._traced[0].interceptors()
        return PostMortems(await connect(estate, interceptors=interceptors), estate.estate)

    async def responses(self) -> "Responses":
        """This estate's answer to alerts; raises UnreachableError without Temporal."""
        estate = self.estate
        from failback.temporal.client import connect  # noqa: PLC0415 - temporalio takes 0.5 s
        from failback.temporal.responses import Responses  # noqa: PLC0415 - as above

        interceptors = () if self._traced is None else self._traced[0].interceptors()
        return Responses(await connect(estate, interceptors=interceptors), estate.estate)

    @cached_property
    def _traced(self) -> "tuple[Telemetry, Span | None] | None":
        """Traces of this command, with the span of all that it does; None where they are off."""
        if not self.estate.telemetry.otlp_endpoint:
            return None
        from failback.telemetry import Telemetry  # noqa: PLC0415 - only where it is wanted

        telemetry = Telemetry.start(self.estate.telemetry, service="failback-cli", metrics=False)
        return telemetry, telemetry.began(self.command)

    def close(self) -> None:
        """Send the traces of this command; without this a short process would take them along."""
        traced = self.__dict__.get("_traced")
        if traced is None:
            return
        telemetry, span = traced
        if span is not None:
            span.end()
        telemetry.close()

    async def rehearsed(self, level: "Level", reason: str, who: str) -> tuple[str, ...]:
        """What a rollback would do now; see `workers.dry_run.rehearse`."""
        estate = self.estate
        from failback.temporal.client import connect  # noqa: PLC0415 - temporalio takes 0.5 s
        from workers.dry_run import rehearse  # noqa: PLC0415 - as above

        return await rehearse(await connect(estate), estate, level, reason, who)


def opened(ctx: typer.Context, config: Path | None, as_json: bool) -> Session:
    """The session of a command, whether an option stood before or after its name."""
    shared = ctx.find_root().params
    named = config or shared.get("config") or os.environ.get(CONFIG_VARIABLE) or "failback.yaml"
    session = Session(
        config=Path(named),
        command=ctx.command_path,
        output=Output(as_json=as_json or bool(shared.get("as_json"))),
    )
    ctx.call_on_close(session.close)
    return session


def me() -> str:
    """Who runs this command, as the operating system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
