"""Makes and removes what the archive needs on the target: a publication and a slot.

Changes when archiving needs something else there.
"""

import time
from importlib import metadata

import psycopg

from failback.change_archive.settings import ArchiveSettings
from failback.change_archive.shelf import ArchiveShelf
from failback.change_archive.tables import archivable, published
from failback.errors import ArchiveError, NotArmedError, SlotBusyError, TableRefusedError
from failback.models.archive import ChainStart
from failback.reverse_sync import capture, publication, slots, wal_limit
from failback.reverse_sync.catalogue import read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import lsn_text

_SPACE, _ARCHIVER = 0x66616172, 1
WAIT_SECONDS = 10.0
"""How long somebody who archives is waited for."""
_LOOK_SECONDS = 0.05


def take(session: Connection) -> None:
    """Become the only one who archives this database, until the session ends.

    A stretch of a worker's archiving takes moments; whoever comes in between waits for it.

    Raises:
        SlotBusyError: somebody else is at it, and stays.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        row = session.execute("SELECT pg_try_advisory_lock(%s, %s)", [_SPACE, _ARCHIVER]).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() >= deadline:
            raise SlotBusyError(
                "Another failback is archiving changes of the target right now.",
                "It goes on by itself when that one has finished.",
            )
        time.sleep(_LOOK_SECONDS)


def publish(session: Connection, settings: ArchiveSettings) -> None:
    """Publish every table that can be archived. Idempotent.

    Raises:
        NotArmedError: the estate is not armed: nobody could give back what is changed.
        TableRefusedError: no table can be archived.
        UnknownTablePatternError: a pattern matches no table.
    """
    _require_armed(session)
    tables, problems = archivable(session, settings)
    if not tables:
        raise TableRefusedError(
            f"No table can be archived: {problems[0].table} {problems[0].problem}.",
            problems[0].cure,
        )
    # Without an identity the product's own updates of a published table would fail.
    publication.identify(session, tables)
    named = read_named(session, [table.qualified for table in tables])
    with session.transaction():
        publication.publish(session, settings.slot, publication.members(named.values()))


def begin(
    session: Connection, settings: ArchiveSettings, shelf: ArchiveShelf, reason: str
) -> ChainStart:
    """Begin a chain: everything committed from here on will be in it.

    Args:
        session: in autocommit mode on the target.
        settings: the estate's.
        shelf: where the chain is kept.
        reason: why the one before it broke off; empty where it did not.
    """
    publish(session, settings)
    slots.drop(session, settings.slot)
    try:
        lsn = slots.create(session, settings.slot)
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise ArchiveError(
            f"The target gives no slot for the archive: {error.diag.message_primary}.",
            "The archive needs wal_level = logical.",
        ) from error
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise ArchiveError(
            f"The target has no slot left for the archive: {error.diag.message_primary}.",
            "Raise max_replication_slots, which needs a restart, or drop a slot that nobody reads.",
        ) from error
    # From here on a crash leaves a slot that no chain fits, which the next attempt replaces.
    server = capture.read_slot(session, settings.slot)
    row = session.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise psycopg.InternalError("The server told no time.")
    chain = ChainStart(
        id=shelf.new_id(),
        estate=settings.estate,
        slot=settings.slot,
        system_identifier=str(server.system_identifier),
        timeline=server.timeline,
        begins=lsn_text(lsn),
        begun_at=row[0],
        software=f"failback {metadata.version('failback')}",
        reason=reason,
        covered=published(session, settings).covered,
    )
    shelf.write_chain(chain)
    wal_limit.forget(session, settings.slot)
    return chain


def remove(session: Connection, slot: str) -> tuple[str, ...]:
    """Remove slot and publication from the target; returns which there were. Idempotent."""
    removed = []
    if slots.drop(session, slot):
        removed.append(f"slot {slot}")
    if publication.unpublish(session, slot):
        removed.append(f"publication {slot}")
    return tuple(removed)


def keep_limit(session: Connection, settings: ArchiveSettings) -> str:
    """Give the slot up where it keeps more log than allowed; returns why, or nothing."""
    retained = wal_limit.kept(session, settings.slot, "slot")
    if retained is None or retained <= settings.max_retained_wal_mb * wal_limit.MEBIBYTE:
        return ""
    reason = (
        f"it kept {retained // wal_limit.MEBIBYTE} MiB of log, more than "
        f"archive.max_retained_wal_mb ({settings.max_retained_wal_mb})"
    )
    wal_limit.give_up(session, settings.slot, reason)
    return reason


def _require_armed(session: Connection) -> None:
    row = session.execute("SELECT to_regclass('failback.undo') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        raise NotArmedError(
            "The target is not armed, so that nothing can be archived.", "Run `failback arm` first."
        )
