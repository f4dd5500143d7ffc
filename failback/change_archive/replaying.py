"""Replays the archive into a restored database.

Changes when segments are brought or replayed in another order. Replaying more than is needed does
no harm: a segment says what the rows of its keys were at its end, not how they came to be so, and
those that follow say what became of them since. Only where a replay stops counts, and that is a
moment of the target: each segment's rows are those of one snapshot, and of everything that had
changed up to it. See docs/decisions/0022.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from failback.change_archive.finding import Step, Way, steps, tables_of
from failback.change_archive.restored import RestoredDatabase
from failback.change_archive.segment import SegmentReader
from failback.change_archive.shelf import ArchiveShelf
from failback.models.archive import ArchivedSequence
from failback.models.common import Outcome, Side
from failback.models.recovery import Part, RestoreReport
from failback.ports import Progress
from failback.reverse_sync import sequences
from failback.reverse_sync.connections import Connection, Servers, is_lost
from failback.reverse_sync.pgoutput import lsn_number, lsn_text
from failback.reverse_sync.sequences import Sequence

_AHEAD = 4
"""Segments that are fetched while one is replayed."""


def replay(
    shelf: ArchiveShelf,
    way: Way,
    backup: str,
    servers: Servers,
    *,
    after: str,
    headroom: int,
    tell: Progress,
    opened: Callable[[Connection], None],
) -> RestoreReport:
    """Replay the way from a backup into a database that was restored from it.

    Args:
        shelf: where segments are.
        way: from the backup to the archive's end.
        backup: its id.
        servers: the restored database as their source.
        after: how far somebody says that it got; the database itself knows better.
        headroom: steps that sequences are set beyond the archive's.
        tell: told of long work; may raise to stop it.
        opened: told of the session on the restored database.

    Raises:
        ArchiveError: the subclass says what does not hold.
    """
    began = time.monotonic()
    tell(f"Checking {len(way.path.ranges)} segments of the archive.")
    planned, last = steps(way, shelf)
    report = RestoreReport(
        part=Part.DATABASE,
        outcome=Outcome.SUCCEEDED,
        place=servers.describe(Side.SOURCE).removeprefix("source "),
        backup=backup,
    )
    with servers.explaining(Side.SOURCE), _session(servers) as session:
        opened(session)
        restored = RestoredDatabase(session, backup, way.chain.id)
        restored.prepare(tables_of(planned))
        start = restored.begin(way.position)
        left = [each for each in planned if each.range.end > start]
        rows, touched = 0, set[str]()
        for each, inserted in _applied(shelf, restored, left, tell):
            rows += inserted
            touched.update(table.table for table in each.manifest.tables)
        _lift(session, last, headroom)
    details = []
    if after and lsn_number(after) > start:
        details.append(
            f"The database itself had got to {lsn_text(start)} and not to {after}, so that the "
            "replay began there."
        )
    if not way.reaches_now:
        details.append(
            f"After {lsn_text(way.path.end)} there is a gap in the archive: what the target has "
            "committed since is not restored."
        )
    return report.model_copy(
        update={
            "outcome": Outcome.SUCCEEDED if way.reaches_now else Outcome.INCONCLUSIVE,
            "tables": len(touched),
            "rows": rows,
            "replayed_segments": len(left),
            "replayed_keys": sum(each.range.keys for each in left),
            "replayed_upto": lsn_text(max(start, way.path.end)),
            "replayed_commit_at": _at(planned),
            "seconds": time.monotonic() - began,
            "detail": " ".join(details),
        }
    )


def _at(planned: list[Step]) -> datetime | None:
    return planned[-1].manifest.at if planned else None


@contextmanager
def _session(servers: Servers) -> Iterator[Connection]:
    with closing(servers.connect(Side.SOURCE, autocommit=True)) as session:
        try:
            yield session
        except psycopg.Error as error:
            # A copy that was broken off leaves nothing that could be rolled back.
            if not is_lost(error) and not session.closed:
                session.close()
            raise


def _applied(
    shelf: ArchiveShelf, restored: RestoredDatabase, left: list[Step], tell: Progress
) -> Iterator[tuple[Step, int]]:
    """Replay segment after segment, and fetch the next ones meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="failback-replay-") as folder,
        ThreadPoolExecutor(_AHEAD, thread_name_prefix="archive") as pool,
    ):
        waiting: list[Future[Path | None]] = []
        try:
            for number, each in enumerate(left):
                while len(waiting) < min(_AHEAD + 1, len(left) - number):
                    place = number + len(waiting)
                    waiting.append(pool.submit(_fetched, shelf, left[place], Path(folder)))
                path = waiting.pop(0).result()
                told = f"Replaying segment {number + 1} of {len(left)}."
                tell(told)
                data = None if path is None else SegmentReader(path, each.manifest.tables)
                inserted = restored.apply(each.range.end, each.range.keys, data)
                if path is not None:
                    path.unlink()
                yield each, inserted or 0
        finally:
            for future in waiting:
                future.cancel()


def _fetched(shelf: ArchiveShelf, step: Step, folder: Path) -> Path | None:
    if not step.manifest.data_bytes:
        return None
    path = folder / step.range.name
    shelf.fetch(step.manifest, step.range, path)
    return path


def _lift(session: Connection, archived: tuple[ArchivedSequence, ...], headroom: int) -> None:
    """Set sequences beyond the archive's. They know no transaction, and never go back."""
    theirs = {}
    for each in archived:
        schema, _, name = each.name.partition(".")
        theirs[each.name] = Sequence(sql.Identifier(schema, name), each.last, each.increment, 0, 0)
    schemas = sorted({name.partition(".")[0] for name in theirs})
    sequences.move_beyond(theirs, session, schemas, headroom)
