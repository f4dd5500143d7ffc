"""One batch: attempted until the world stands still long enough, with what a batch is asked for.

Changes when something else makes an attempt begin again. What one attempt does, and in which
order, stands in `attempt.py`.
"""

import time

import psycopg

from failback.errors import SchemaDriftError
from failback.models.sync import BatchReport
from failback.reverse_sync import position, sharing, unwinding
from failback.reverse_sync.attempt import Attempt
from failback.reverse_sync.lane import KeyChanged, Lane, UnknownRelation
from failback.reverse_sync.order import Order
from failback.reverse_sync.refusals import (
    Refused,
    Stale,
    Stopped,
    Torn,
    key_changed,
    refusal,
    refusing_side,
)

_ATTEMPTS = 4


def run(lane: Lane, order: Order) -> BatchReport:
    """Carry one batch over. On any error both sides stay as they were.

    Raises:
        NotArmedError: nothing is armed.
        SlotLostError: changes may be missing.
        SlotBusyError: another consumer kept the stream.
        SchemaDriftError: schemas change all the time.
    """
    limit = order.limit
    attempts = 0
    while attempts < _ATTEMPTS:
        try:
            return _attempt(lane, order, limit)
        except UnknownRelation as unknown:
            # Each oid is told once, so this ends by itself.
            lane.forget(unknown.args[0])
        except Stale:
            attempts += 1
            lane.forget()
        except KeyChanged as changed:
            lane.stop(key_changed(changed.args[0]))
        except Stopped as found:
            # Each table is stopped once, so this ends by itself.
            lane.stop(found.problem)
        except Torn:
            attempts += 1
            # More of the stream makes the rows fit; all of it always does.
            limit = None if limit is None or attempts > 1 else limit * 4
    raise SchemaDriftError(
        "The schema kept changing while a batch was being carried over.",
        "Wait until the change has finished; nothing was lost.",
    )


def _attempt(lane: Lane, order: Order, limit: int | None) -> BatchReport:
    started = time.monotonic()
    try:
        lane.writer.execute("BEGIN")
        if not position.take(lane.writer, wait_seconds=order.wait_seconds, priority=order.priority):
            lane.writer.execute("ROLLBACK")
            return BatchReport(position="", skipped="another consumer holds the stream")
        held = position.read(lane.writer, lane.direction)
        if held.catch_up and not sharing.void(lane.writer, patient=order.priority):
            lane.writer.execute("ROLLBACK")
            return BatchReport(position="", skipped="a catch-up is at work")
        report = Attempt(lane, order, limit, held).carry()
    except Refused as refused:
        cause, side = refused.__cause__, refusing_side(lane)
        unwinding.abandon(lane)
        if not isinstance(cause, psycopg.Error):
            raise
        raise Stopped(refusal(lane, str(refused), side, cause)) from cause
    except psycopg.errors.TransactionRollback as error:
        # A deadlock or a serialization failure: the other one went first.
        unwinding.abandon(lane)
        raise Stale from error
    except psycopg.Error as error:
        explained = unwinding.explained(lane, error)
        unwinding.abandon(lane)
        if explained is error:
            raise
        raise explained from error
    except BaseException:
        unwinding.abandon(lane)
        raise
    return report.model_copy(update={"seconds": time.monotonic() - started})
