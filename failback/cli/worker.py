"""`failback worker`: the process that carries rollbacks and the reverse sync out."""

import asyncio

from failback.cli.output import ExitCode
from failback.cli.session import Session


def run_until_stopped(session: Session) -> int:
    """Run a worker in this process."""
    estate = session.estate

    from failback.telemetry import configure_logging  # noqa: PLC0415 - as below
    from workers.bootstrap import run_worker  # noqa: PLC0415 - temporalio is not for --help

    configure_logging()
    try:
        asyncio.run(run_worker(estate, session.config))
    except KeyboardInterrupt:
        session.output.note("Stopped.")
    return ExitCode.DONE
