"""The commands without a group: their words and options. What they do is imported when asked."""

from typing import Annotated

import typer

from failback.cli.session import ConfigOption, JsonOption, opened
from failback.models.common import Side


def check(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Ask each part whether failback can work with it.

    Changes nothing. Exits 0 where every answer is yes, 1 where one is no, 3 where one is not known.
    """
    from failback.cli.check import check_estate  # noqa: PLC0415 - keeps help quick

    return check_estate(opened(ctx, config, as_json))


def worker(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Run a worker until it is told to stop (SIGINT or SIGTERM)."""
    from failback.cli.worker import run_until_stopped  # noqa: PLC0415 - keeps help quick

    return run_until_stopped(opened(ctx, config, as_json))


def gateway(
    ctx: typer.Context,
    new_token: Annotated[
        bool,
        typer.Option("--new-token", help="Print a new API token and its hash; serve nothing."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take webhooks of alerts, and serve the operator API, until told to stop.

    Answers an alert once Temporal has accepted it, and asks its sender to repeat where it has not.
    """
    from failback.cli.gateway import make_token, run_until_stopped  # noqa: PLC0415 - help is quick

    session = opened(ctx, config, as_json)
    return make_token(session) if new_token else run_until_stopped(session)


def decide(
    ctx: typer.Context,
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="A moment of the past, ISO 8601; else now."),
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say for every rule what its verdict stands on.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask the decision matrix what is to be done, and change nothing.

    Exits 0 where the migration goes on, 1 where something is to be done, 3 where nobody can know.
    """
    from failback.cli.decide import decide_now  # noqa: PLC0415 - keeps help quick

    return decide_now(opened(ctx, config, as_json), at, explain=explain)


def arm(
    ctx: typer.Context,
    capture: Annotated[
        str | None,
        typer.Option(help="slot, changelog or diff; else the best one that the target allows."),
    ] = None,
    continuous: Annotated[
        bool,
        typer.Option(
            "--continuous/--no-continuous",
            help="Let the worker keep the source about a second behind from now on.",
        ),
    ] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make the way back, and prove that it works.

    Captures the target's changes, fences the source, and sends a canary row through.
    """
    from failback.cli.arming import arm_estate  # noqa: PLC0415 - keeps help quick

    return arm_estate(opened(ctx, config, as_json), capture, continuous=continuous)


def disarm(
    ctx: typer.Context,
    without_temporal: Annotated[
        bool,
        typer.Option(
            "--without-temporal",
            help="Go on where Temporal does not answer, so that a running rollback is not seen.",
        ),
    ] = False,
    accepted_by: Annotated[
        str,
        typer.Option(metavar="NAME", help="Who accepts that the rest of the tail is given up."),
    ] = "",
    only: Annotated[
        Side | None, typer.Option(help="The side that is left, where the other one is gone.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take the way back away again, whichever way it leads.

    Removes all that arming made on both sides, the changes captured so far included.
    """
    from failback.cli.arming import disarm_estate  # noqa: PLC0415 - keeps help quick

    return disarm_estate(
        opened(ctx, config, as_json), accepted_by, only, without_temporal=without_temporal
    )


def reprotect(
    ctx: typer.Context,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say whether it can be done; change nothing.")
    ] = False,
    accepted_by: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Who accepts that the rest of the target's tail is overwritten."
        ),
    ] = "",
    continuous: Annotated[
        bool,
        typer.Option(
            "--continuous/--no-continuous",
            help="Let the worker keep the target about a second behind from now on.",
        ),
    ] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """After a rollback: carry the source's changes to the target, for the next attempt.

    Nothing is copied. The target stays fenced; `failback arm` turns it round again later.
    """
    from failback.cli.arming import reprotect_estate  # noqa: PLC0415 - keeps help quick

    return reprotect_estate(
        opened(ctx, config, as_json), accepted_by, plan=plan, continuous=continuous
    )


def validate(
    ctx: typer.Context,
    record_baseline: Annotated[
        bool,
        typer.Option(
            "--record-baseline",
            help="Measure how fast the source is, while it is well, and keep that; check nothing.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Look at the whole product: service, functions, sessions, objects, data, performance.

    Of what it does only the test user of the critical journey is a write. Exits 1 where something
    is wrong, 3 where something could not be looked at.
    """
    from failback.cli.validate import validate_product  # noqa: PLC0415 - keeps help quick

    return validate_product(opened(ctx, config, as_json), record=record_baseline)
