"""`failback rules …`: the specification's monitors and alerts as files for other programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.config import Estate
from failback.errors import ConfigurationError
from failback.models.common import Payload
from failback.rules import (
    Definitions,
    alertmanager_file,
    define,
    grafana_file,
    prometheus_file,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

BESIDE_ITS_CONFIGURATION = "failback.token"

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to this file; else print it.", show_default=False),
]


class WrittenFile(Payload):
    """A generated file."""

    path: str = ""
    """Empty where it was only printed."""
    text: str


@app.command()
def prometheus(
    ctx: typer.Context,
    output: OutputOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Recording and alerting rules for Prometheus (`rule_files`)."""
    session = opened(ctx, config, as_json)
    return _give(session, prometheus_file(_definitions(session.estate)), output)


@app.command()
def alertmanager(
    ctx: typer.Context,
    gateway: Annotated[
        str, typer.Option("--gateway", help="Base URL of the gateway; else gateway.public_url.")
    ] = "",
    token_file: Annotated[
        str,
        typer.Option(
            "--token-file",
            help="Where Alertmanager finds the bearer token; beside its configuration if relative.",
        ),
    ] = BESIDE_ITS_CONFIGURATION,
    receivers: Annotated[
        Path | None,
        typer.Option(
            "--receivers",
            help="YAML: by audience, integrations as below Alertmanager's receivers.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Routes for Alertmanager: every alert to the gateway, and to whom it is for."""
    session = opened(ctx, config, as_json)
    estate = session.estate
    text = alertmanager_file(
        _definitions(estate),
        gateway or _address(estate),
        token_file,
        _receivers(receivers) if receivers is not None else None,
    )
    return _give(session, text, output)


@app.command()
def grafana(
    ctx: typer.Context,
    output: OutputOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """A dashboard for Grafana: what decisions stand on, with the thresholds drawn in."""
    session = opened(ctx, config, as_json)
    estate = session.estate
    return _give(session, grafana_file(_definitions(estate), estate.estate), output)


def _definitions(estate: Estate) -> Definitions:
    interval = (
        {}
        if estate.metrics is None
        else {"interval_seconds": estate.metrics.scrape_interval_seconds}
    )
    return define(estate.rules, estate.queries, estate.messages.alerts, **interval)


def _address(estate: Estate) -> str:
    if estate.gateway is None:
        raise ConfigurationError(
            "Nobody says where the gateway is.", "Name it with --gateway, or in gateway.public_url."
        )
    return estate.gateway.public_url or f"http://{estate.gateway.address}"


def _receivers(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{path} names no receivers: its top is not a mapping.", "Write one for each audience."
        )
    return document


def _give(session: Session, text: str, output: Path | None) -> int:
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{output} cannot be written: {error.strerror}.",
                "Name a file in a folder that you may write to.",
            ) from error
        session.output.note(f"Written to {output}.")

    def write(console: Console) -> None:
        if output is None:
            console.out(text, end="", highlight=False)

    session.output.show(WrittenFile(path=str(output or ""), text=text), write)
    return ExitCode.DONE
