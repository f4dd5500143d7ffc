"""Arming with a change archive: its slot is made, and the workflow that keeps it is started."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from failback.cli.session import Session
from failback.errors import FailbackError, UnreachableError
from failback.models.common import Payload, Side


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


@contextmanager
def archive_disarming(session: Session, only: Side | None) -> Iterator[None]:
    """Archive no more, once the block has disarmed the estate; where it refuses, go on archiving.

    Args:
        session: of the command.
        only: the side that is left, where the other one is gone for good.
    """
    if session.estate.archive is None:
        yield
        return
    try:
        yield
    except FailbackError:
        with suppress(FailbackError):
            asyncio.run(_start(session))
        raise
    archive = session.archive() if only is not Side.SOURCE else None
    if archive is None:
        return
    with closing(archive):
        try:
            # A round that was at work somewhere may have begun anew meanwhile.
            archive.disarm()
        except FailbackError as error:
            session.output.note(f"The archive may have left its slot on the target: {error}")


async def _start(session: Session) -> None:
    await (await session.rollbacks()).start_archiving()
