"""The command tree. Heavy imports happen inside the commands, so that help is quick."""

import importlib
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from failback.cli import commands
from failback.cli.session import ConfigOption, JsonOption
from failback.errors import LabError


class _LazyGroup(TyperGroup):
    """Commands of a module that is imported when one of them is named.

    Help and a wrong word cost 0.2 s so, where every client library together takes 1.5 s.
    """

    module = ""

    def _loaded(self) -> TyperGroup:
        group = typer.main.get_command(importlib.import_module(self.module).app)
        if not isinstance(group, TyperGroup):
            raise TypeError(f"{self.module}.app is no group of commands")
        return group

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the module's commands."""
        return self._loaded().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of the module's commands."""
        return self._loaded().get_command(ctx, cmd_name)


class _Sync(_LazyGroup):
    module = "failback.cli.sync"


class _Rollback(_LazyGroup):
    module = "failback.cli.rollback"


class _Fence(_LazyGroup):
    module = "failback.cli.fence"


class _Certificate(_LazyGroup):
    module = "failback.cli.certificate"


class _Alerts(_LazyGroup):
    module = "failback.cli.alerts"


class _Investigation(_LazyGroup):
    module = "failback.cli.investigation"


class _Audit(_LazyGroup):
    module = "failback.cli.audit"


class _Auth(_LazyGroup):
    module = "failback.cli.auth"


class _Backup(_LazyGroup):
    module = "failback.cli.backup"


class _Notify(_LazyGroup):
    module = "failback.cli.notify"


class _PostMortem(_LazyGroup):
    module = "failback.cli.post_mortem"


class _Recovery(_LazyGroup):
    module = "failback.cli.recovery"


class _Rules(_LazyGroup):
    module = "failback.cli.rules"


class _Archive(_LazyGroup):
    module = "failback.cli.archive"


class _Storage(_LazyGroup):
    module = "failback.cli.storage"


class _Functions(_LazyGroup):
    module = "failback.cli.functions"


class _Configuration(_LazyGroup):
    module = "failback.cli.configuration"


class _Pauses(_LazyGroup):
    module = "failback.cli.pauses"


class _Lab(_LazyGroup):
    module = "failback.cli.lab"

    def _loaded(self) -> TyperGroup:
        try:
            return super()._loaded()
        except ModuleNotFoundError as error:
            raise LabError(
                f"The lab is not installed: {error.name} is missing.",
                "Install it with: pip install 'failback[lab]'.",
            ) from error


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"failback {metadata.version('failback')}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    help="Take a live migration back, fast and without losing an acknowledged write.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 waiting or inconclusive.",
)


@app.callback()
def root(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take a live migration back, fast and without losing an acknowledged write."""


app.command()(commands.check)
app.command()(commands.worker)
app.command()(commands.gateway)
app.command()(commands.decide)
app.command()(commands.arm)
app.command()(commands.reprotect)
app.command()(commands.disarm)
app.command()(commands.validate)


def _add(name: str, group: type[TyperGroup], text: str) -> None:
    app.add_typer(
        typer.Typer(cls=group, help=text, no_args_is_help=True, rich_markup_mode=None), name=name
    )


_add("sync", _Sync, "Look at the reverse sync, drive it by hand, compare both sides.")
_add("rollback", _Rollback, "Start, approve, watch and report rollbacks.")
_add("archive", _Archive, "Changes kept beside the backups: look, archive now, let old ones go.")
_add("recovery", _Recovery, "Lead a disaster recovery: where it stands, answers at its gates.")
_add("fence", _Fence, "Who may write: look, raise, lift, by hand.")
_add("certificate", _Certificate, "Make keys; check and show certificates of rollbacks.")
_add("alerts", _Alerts, "What fires, what was decided about it, and every alert on record.")
_add("investigation", _Investigation, "Close what a person has looked into.")
_add("audit", _Audit, "The record of alerts, decisions and approvals: read it, check its chain.")
_add("auth", _Auth, "Sessions: whether they go on when the source takes over.")
_add("backup", _Backup, "Take, list, prove and delete backups of one side.")
_add("rules", _Rules, "Rules, routes and a dashboard for Prometheus, Alertmanager and Grafana.")
_add("notify", _Notify, "Try a channel; who was told of what, and whether in time.")
_add("post-mortem", _PostMortem, "What is to be learnt from a rollback, until somebody is done.")
_add("storage", _Storage, "Stored objects: carry them back, compare both sides.")
_add("functions", _Functions, "The product's functions: compare both sides, ask them.")
_add("configuration", _Configuration, "Values that differ between the sides: look, switch.")
_add("pauses", _Pauses, "What is paused: list it, resume it, or keep it so by decision.")
_add("lab", _Lab, "The embedded estate: real servers, no Docker needed.")
