"""Arming with a change archive: its slot is made, and the workflow that keeps it is started."""

import asyncio
from contextlib import closing

from failback.cli.session import Session
from failback.errors import FailbackError, UnreachableError
from failback.models.common import Payload


class ArchiveArmed(Payload):
    """Whether changes are archived from now on."""

    armed: bool
    detail: str = ""


def arm_archive(session: Session, *, continuous: bool) -> ArchiveArmed | None:
    """Begin to archive; None where the estate has no archive.

    What is wrong with it takes nothing from the reverse path, which is armed by then.

    Args:
        session: of the command.
        continuous: whether a worker is to keep the archive up to date.
    """
    config = session.estate.archive
    if config is None:
        return None
    try:
        archive = session.archive()
        if archive is None:
            return None
        with closing(archive):
            state = archive.arm()
    except FailbackError as error:
        return ArchiveArmed(armed=False, detail=f"changes are not archived: {error}")
    said = f"changes from {state.first_position} on are kept"
    if not continuous:
        return ArchiveArmed(armed=True, detail=f"{said}, by `failback archive now` alone")
    try:
        asyncio.run(_start(session))
    except UnreachableError as error:
        detail = f"nobody archives changes: {error.cause} Run `failback arm` again."
        return ArchiveArmed(armed=False, detail=detail)
    return ArchiveArmed(armed=True, detail=f"{said}, every {config.interval_seconds:g} s")


async def _start(session: Session) -> None:
    await (await session.rollbacks()).start_archiving()
