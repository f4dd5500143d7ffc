"""Batches until the receiver has all that the sender had committed when the drain began.

Changes when it is decided in another way that a drain is over. What was wanted is taken before
the first batch and never changed: a drain that sets its own goal would pass by itself.
"""

import contextlib
import time
from collections.abc import Sequence

import psycopg

from failback.errors import SlotBusyError
from failback.models.common import Outcome
from failback.models.sync import BatchReport, DrainReport
from failback.reverse_sync import batch, position
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.order import Order
from failback.reverse_sync.pgoutput import lsn_number, lsn_text
from failback.reverse_sync.pulse import Pulse

_WAIT_SECONDS = 2.0
_HELD_BACK_SECONDS = 0.002


def run(
    lane: Lane, publication: str, *, limit: int, deadline_seconds: float, pulse: Pulse
) -> DrainReport:
    """Drain the stream; what was carried over stays, also when the deadline passes.

    Raises:
        SlotBusyError: another consumer keeps the stream.
        FailbackError: as `batch.run`.
    """
    began = time.monotonic()
    deadline = began + deadline_seconds
    wanted = _wanted(lane)
    reports: list[BatchReport] = []
    reached = 0
    # What was cured since the last batch shall not wait: this may be the last drain.
    lane.retry()
    lane.look()
    with lane.servers.explaining(lane.direction.receiver):
        position.prefer(lane.writer, _remaining(deadline))
    try:
        while reached < wanted and (not reports or time.monotonic() < deadline):
            pulse()
            order = Order(
                publication,
                limit=limit,
                priority=True,
                wait_seconds=_remaining(deadline),
                pulse=pulse,
                reprove=True,
            )
            report = batch.run(lane, order)
            if lsn_number(report.position) == reached:
                # A commit is in the log and not visible yet; that takes it no time.
                time.sleep(_HELD_BACK_SECONDS)
            reached = lsn_number(report.position)
            reports.append(report)
            pulse.text = f"drained {sum(each.changes for each in reports)} changes"
    finally:
        # With a session that was lost the announcement is gone as well.
        with contextlib.suppress(psycopg.OperationalError):
            if not lane.writer.closed:
                position.unprefer(lane.writer)
    stopped = reports[-1].stopped if reports else ()
    done = reached >= wanted and not stopped
    return DrainReport(
        outcome=Outcome.SUCCEEDED if done else Outcome.INCONCLUSIVE,
        position=lsn_text(reached),
        wanted=lsn_text(wanted),
        batches=len(reports),
        changes=sum(report.changes for report in reports),
        keys=sum(report.keys for report in reports),
        seconds=time.monotonic() - began,
        conflicts=sum(report.conflicts for report in reports),
        lag_before_seconds=reports[0].lag_seconds if reports else None,
        detail=_detail(
            reports,
            "" if reached >= wanted else f"The deadline of {deadline_seconds:g} s passed first.",
        ),
    )


def _detail(reports: Sequence[BatchReport], late: str) -> str:
    """What there is to say about a drain besides its numbers."""
    compared = {table for report in reports for table in report.compared}
    said = f"{len(compared)} tables were compared by checksum." if compared else ""
    without = (
        "; ".join(f"{each.table} {each.problem} ({each.cure})" for each in reports[-1].stopped)
        if reports
        else ""
    )
    return " ".join(filter(None, (late, said, without and f"Left out: {without}.")))


def _wanted(lane: Lane) -> int:
    """Every commit that was acknowledged by now lies before it, on disk or not."""
    with lane.servers.explaining(lane.direction.sender):
        row = lane.helper.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    if row is None:
        raise SlotBusyError("The sender told no position.")
    return lsn_number(row[0])


def _remaining(deadline: float) -> float:
    return min(_WAIT_SECONDS, max(0.05, deadline - time.monotonic()))
