"""What every reverse sync keeps, on the fake and on the real engine between two Postgres."""

import contextlib
import time
from collections.abc import Callable

import pytest

from failback.errors import NotArmedError, SafetyRuleError, SlotLostError
from failback.models.common import Outcome, Side
from failback.ports import ReverseSyncEngine

from support.migrations import Subject, drained, rolled_back


class TestReverseSyncContract:
    def test_sync_when_nothing_is_armed_then_says_so(self, unarmed: Subject) -> None:
        engine = unarmed.engine
        assert not engine.status().armed
        for side in Side:
            assert not engine.fenced(side)
            assert unarmed.write(side, "a", "1")
        attempts: list[Callable[[], object]] = [
            engine.run_batch,
            lambda: engine.drain(1.0),
            lambda: engine.raise_fence(Side.TARGET, 1.0),
            lambda: engine.lift_fence(Side.SOURCE, "alice"),
        ]
        for attempt in attempts:
            with pytest.raises((NotArmedError, SafetyRuleError)):
                attempt()

    def test_arm_when_done_then_only_the_target_takes_writes(self, armed: Subject) -> None:
        status = armed.engine.status()
        assert (status.armed, status.source_fenced, status.target_fenced) == (True, True, False)
        assert status.tables
        assert not status.problems
        assert armed.engine.fenced(Side.SOURCE)
        assert not armed.write(Side.SOURCE, "a", "1")
        assert armed.write(Side.TARGET, "a", "1")

    def test_pass_over_the_ledger_when_both_sides_agree_then_nothing_is_dirty(
        self, armed: Subject
    ) -> None:
        for key in "abc":
            assert armed.write(Side.TARGET, key, "1")
        drained(armed.engine)
        report = armed.engine.verify_some(20.0)
        assert (report.dirty, report.differing) == (0, 0)
        assert report.clean >= 1
        for cold in (False, True):
            found = armed.engine.verify(cold=cold)
            assert found.outcome is Outcome.SUCCEEDED
            assert sum(table.source_rows for table in found.tables) == 3

    def test_pass_over_the_ledger_when_nothing_is_armed_then_says_so(
        self, unarmed: Subject
    ) -> None:
        with pytest.raises(NotArmedError):
            unarmed.engine.verify_some(1.0)

    def test_repair_when_rows_differ_then_the_target_wins(self, armed: Subject) -> None:
        for key in "abc":
            assert armed.write(Side.TARGET, key, "1")
        drained(armed.engine)
        armed.spoil("a", "2")
        armed.spoil("b", None)
        armed.spoil("x", "9")
        plan = armed.engine.repair()
        assert (plan.applied, plan.total) == (False, 3)
        assert armed.rows(Side.SOURCE) == {"a": "2", "c": "1", "x": "9"}
        done = armed.engine.repair(plan_only=False)
        assert (done.applied, done.repaired, done.outcome) == (True, 3, Outcome.SUCCEEDED)
        assert armed.rows(Side.SOURCE) == armed.rows(Side.TARGET) == dict.fromkeys("abc", "1")
        assert armed.engine.repair().tables == ()

    def test_repair_when_the_source_takes_writes_then_is_refused(self, armed: Subject) -> None:
        rolled_back(armed)
        armed.spoil("a", "2")
        with pytest.raises(SafetyRuleError):
            armed.engine.repair(plan_only=False)

    def test_arm_when_repeated_then_nothing_captured_is_lost(self, armed: Subject) -> None:
        armed.write(Side.TARGET, "a", "1")
        assert armed.engine.arm().outcome is Outcome.SUCCEEDED
        drained(armed.engine)
        assert armed.rows(Side.SOURCE) == {"a": "1"}

    def test_drain_when_rows_were_changed_then_the_source_holds_the_same(
        self, armed: Subject
    ) -> None:
        for key in "abc":
            assert armed.write(Side.TARGET, key, "1")
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "2")
        armed.write(Side.TARGET, "b", None)
        armed.write(Side.TARGET, "d", "4")
        report = armed.engine.drain(20.0)
        assert report.outcome is Outcome.SUCCEEDED
        assert report.keys >= 3
        assert armed.rows(Side.SOURCE) == {"a": "2", "c": "1", "d": "4"}

    def test_drain_when_there_is_nothing_then_succeeds(self, engine: ReverseSyncEngine) -> None:
        drained(engine)
        drained(engine)
        assert engine.status().lag_bytes == 0

    def test_batch_when_run_then_says_what_it_carried(self, armed: Subject) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "1")
        deadline = time.monotonic() + 20
        while "a" not in armed.rows(Side.SOURCE):
            report = armed.engine.run_batch()
            assert time.monotonic() < deadline
        assert (report.keys, report.rows, report.caught_up) == (1, 1, True)

    def test_progress_when_it_raises_then_the_drain_stops_and_can_be_repeated(
        self, armed: Subject
    ) -> None:
        class StopError(Exception):
            pass

        def stop(_: str) -> None:
            raise StopError

        armed.write(Side.TARGET, "a", "1")
        with contextlib.suppress(StopError):
            armed.engine.drain(20.0, stop)
        drained(armed.engine)
        assert armed.rows(Side.SOURCE) == {"a": "1"}

    def test_fence_when_raised_then_no_write_is_acknowledged(self, armed: Subject) -> None:
        first = armed.engine.raise_fence(Side.TARGET, 1.0)
        assert (first.outcome, first.raised, first.changed) == (Outcome.SUCCEEDED, True, True)
        assert first.position
        assert first.proofs
        assert armed.engine.fenced(Side.TARGET)
        assert not armed.write(Side.TARGET, "a", "1")
        again = armed.engine.raise_fence(Side.TARGET, 1.0)
        assert (again.outcome, again.raised, again.changed) == (Outcome.SUCCEEDED, True, False)

    def test_source_when_the_target_takes_writes_then_stays_fenced(
        self, engine: ReverseSyncEngine
    ) -> None:
        with pytest.raises(SafetyRuleError, match="one_writer"):
            engine.lift_fence(Side.SOURCE)
        with pytest.raises(SafetyRuleError, match="one_writer"):
            engine.lift_fence(Side.SOURCE, "alice")
        assert engine.fenced(Side.SOURCE)

    def test_source_when_the_tail_is_not_empty_then_opened_only_for_who_accepts_it(
        self, armed: Subject
    ) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            armed.engine.lift_fence(Side.SOURCE)
        assert armed.engine.fenced(Side.SOURCE)
        report = armed.engine.lift_fence(Side.SOURCE, "alice")
        assert (report.outcome, report.raised, report.changed) == (Outcome.SUCCEEDED, False, True)
        assert armed.write(Side.SOURCE, "b", "2")

    def test_source_when_drained_then_opens_with_every_row(self, armed: Subject) -> None:
        armed.write(Side.TARGET, "a", "1")
        rolled_back(armed)
        assert armed.rows(Side.SOURCE) == {"a": "1"}
        assert armed.write(Side.SOURCE, "b", "2")
        assert not armed.write(Side.TARGET, "b", "2")
        assert armed.engine.lift_fence(Side.SOURCE).changed is False

    def test_target_when_the_source_took_writes_then_not_opened_again_unasked(
        self, armed: Subject
    ) -> None:
        rolled_back(armed)
        armed.write(Side.SOURCE, "b", "2")
        with pytest.raises(SafetyRuleError, match="one_writer"):
            armed.engine.lift_fence(Side.TARGET)
        armed.engine.raise_fence(Side.SOURCE, 1.0)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            armed.engine.lift_fence(Side.TARGET)
        assert armed.engine.lift_fence(Side.TARGET, "alice").outcome is Outcome.SUCCEEDED
        assert armed.write(Side.TARGET, "c", "3")

    def test_target_when_the_rollback_was_called_off_before_the_flip_then_opens_again(
        self, armed: Subject
    ) -> None:
        armed.engine.raise_fence(Side.TARGET, 1.0)
        assert armed.engine.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
        assert armed.write(Side.TARGET, "a", "1")
        assert not armed.write(Side.SOURCE, "a", "1")

    def test_late_tail_when_only_the_target_changed_a_row_then_carried_over(
        self, armed: Subject
    ) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "late", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        armed.engine.lift_fence(Side.SOURCE, "policy")
        armed.write(Side.SOURCE, "own", "2")
        report = armed.engine.drain_late(20.0)
        assert (report.outcome, report.conflicts) == (Outcome.SUCCEEDED, 0)
        assert armed.rows(Side.SOURCE) == {"late": "1", "own": "2"}

    def test_late_tail_when_both_changed_a_row_then_parked_and_the_source_stays(
        self, armed: Subject
    ) -> None:
        armed.write(Side.TARGET, "a", "old")
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "from the target")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        armed.engine.lift_fence(Side.SOURCE, "policy")
        armed.write(Side.SOURCE, "a", "from the source")
        report = armed.engine.drain_late(20.0)
        assert (report.outcome, report.conflicts) == (Outcome.SUCCEEDED, 1)
        assert armed.rows(Side.SOURCE) == {"a": "from the source"}
        (conflict,) = armed.engine.conflicts()
        assert conflict.source_image is not None
        assert conflict.target_image is not None
        assert conflict.source_image["value"] == "from the source"
        assert conflict.target_image["value"] == "from the target"

    def test_slot_when_gone_then_never_passed_over_in_silence(self, armed: Subject) -> None:
        drained(armed.engine)
        armed.lose_slot()
        armed.write(Side.TARGET, "a", "1")
        with pytest.raises(SlotLostError):
            armed.engine.run_batch()
        with pytest.raises(SlotLostError):
            armed.engine.drain(2.0)
        assert armed.engine.status().slot_status != "reserved"

    def test_sequences_when_synchronised_twice_then_move_once(
        self, engine: ReverseSyncEngine
    ) -> None:
        engine.synchronise_sequences()
        assert engine.synchronise_sequences() == 0

    def test_canary_when_armed_then_seen_on_the_source(self, engine: ReverseSyncEngine) -> None:
        assert engine.canary().outcome is Outcome.SUCCEEDED
        status = engine.status(canary=True)
        assert status.canary is not None
        assert status.canary.outcome is Outcome.SUCCEEDED

    def test_verify_when_fenced_and_drained_then_equal_and_exact(self, armed: Subject) -> None:
        armed.write(Side.TARGET, "a", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        drained(armed.engine)
        report = armed.engine.verify()
        assert (report.outcome, report.exact) == (Outcome.SUCCEEDED, True), report
        (table,) = [table for table in report.tables if table.target_rows]
        assert table.equal
        assert table.source_rows == 1

    def test_verify_when_the_tail_is_not_drained_then_says_what_is_missing(
        self, armed: Subject
    ) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        report = armed.engine.verify()
        assert report.outcome is Outcome.FAILED
        assert (report.missing, report.extra, report.different) == (1, 0, 0)

    def test_disarm_when_done_then_both_sides_take_writes(self, armed: Subject) -> None:
        assert armed.engine.disarm().removed
        assert not armed.engine.status().armed
        for side in Side:
            assert armed.write(side, "a", "1")

    def test_disarm_when_a_rollback_is_not_over_then_refused(self, armed: Subject) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            armed.engine.disarm()
        drained(armed.engine)
        assert armed.engine.disarm().removed

    def test_session_when_closed_then_the_next_call_opens_another(self, armed: Subject) -> None:
        armed.engine.warm()
        armed.engine.close()
        armed.write(Side.TARGET, "a", "1")
        drained(armed.engine)
        assert armed.rows(Side.SOURCE) == {"a": "1"}
