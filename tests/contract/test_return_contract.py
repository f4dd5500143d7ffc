"""What every reverse sync keeps about conflicts, and about the way to the next attempt."""

import pytest

from failback.errors import FenceUpError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.settling import ConflictChoice, Keep, Settled

from support.migrations import Subject, drained, rolled_back


@pytest.fixture
def in_conflict(armed: Subject) -> Subject:
    """A row that both sides changed, parked after a flip with a tail."""
    armed.write(Side.TARGET, "a", "old")
    drained(armed.engine)
    armed.write(Side.TARGET, "a", "from the target")
    armed.engine.raise_fence(Side.TARGET, 1.0)
    armed.engine.lift_fence(Side.SOURCE, "policy")
    armed.write(Side.SOURCE, "a", "from the source")
    assert armed.engine.drain_late(20.0).conflicts == 1
    return armed


def _keep(side: str, *ids: int, plan: bool = False) -> ConflictChoice:
    return ConflictChoice(keep=Keep(side), who="alice", ids=ids, plan=plan)


class TestConflictContract:
    def test_conflict_when_the_targets_version_is_kept_then_the_source_has_it(
        self, in_conflict: Subject
    ) -> None:
        (conflict,) = in_conflict.engine.conflicts()
        planned = in_conflict.engine.settle_conflicts(_keep("target", conflict.id, plan=True))
        assert planned.settlements[0].result is Settled.PLANNED
        assert in_conflict.rows(Side.SOURCE) == {"a": "from the source"}
        report = in_conflict.engine.settle_conflicts(_keep("target", conflict.id))
        assert (report.complete, report.open_conflicts) == (True, 0)
        assert in_conflict.rows(Side.SOURCE) == {"a": "from the target"}
        assert in_conflict.engine.conflicts() == ()
        (settled,) = in_conflict.engine.conflicts(include_settled=True)
        assert (settled.settled_by, settled.kept) == ("alice", Side.TARGET)
        again = in_conflict.engine.settle_conflicts(_keep("target", conflict.id))
        assert again.settlements[0].result is Settled.ALREADY
        other = in_conflict.engine.settle_conflicts(_keep("source", conflict.id))
        assert other.settlements[0].result is Settled.REFUSED

    def test_conflict_when_the_row_changed_since_it_was_shown_then_refused_with_what_it_is(
        self, in_conflict: Subject
    ) -> None:
        assert in_conflict.write(Side.SOURCE, "a", "changed again")
        report = in_conflict.engine.settle_conflicts(
            ConflictChoice(keep=Keep.TARGET, who="alice", table="*")
        )
        (refused,) = report.settlements
        assert (refused.result, report.open_conflicts) == (Settled.REFUSED, 1)
        assert refused.conflict.source_image is not None
        assert refused.conflict.source_image["value"] == "changed again"
        assert in_conflict.rows(Side.SOURCE) == {"a": "changed again"}

    def test_disarm_when_conflicts_are_open_then_refused(self, in_conflict: Subject) -> None:
        with pytest.raises(SafetyRuleError, match="conflicts_settled"):
            in_conflict.engine.disarm()
        in_conflict.engine.settle_conflicts(
            ConflictChoice(keep=Keep.SOURCE, who="alice", table="*")
        )
        assert in_conflict.engine.disarm().removed
        assert in_conflict.rows(Side.SOURCE) == {"a": "from the source"}


class TestReprotectContract:
    def test_reprotect_when_rolled_back_then_the_sources_changes_reach_the_target(
        self, armed: Subject
    ) -> None:
        armed.write(Side.TARGET, "a", "1")
        rolled_back(armed)
        assert armed.write(Side.SOURCE, "b", "2")
        assert armed.engine.reprotect(plan=True).planned
        assert armed.engine.status().direction == "target-to-source"
        assert armed.engine.reprotect().outcome is Outcome.SUCCEEDED
        assert armed.write(Side.SOURCE, "a", "3")
        assert not armed.write(Side.TARGET, "c", "4")
        drained(armed.engine)
        assert armed.rows(Side.TARGET) == {"a": "3", "b": "2"}
        status = armed.engine.status()
        assert (status.direction, status.source_fenced, status.target_fenced) == (
            "source-to-target",
            False,
            True,
        )
        assert armed.engine.verify().outcome is Outcome.SUCCEEDED
        assert armed.engine.reprotect().outcome is Outcome.SUCCEEDED

    def test_reprotect_when_the_source_is_not_live_then_refused(self, armed: Subject) -> None:
        for _ in range(2):
            with pytest.raises(SafetyRuleError, match="one_writer"):
                armed.engine.reprotect()
            armed.engine.raise_fence(Side.TARGET, 1.0)

    def test_reprotect_when_conflicts_are_open_then_refused_until_they_are_settled(
        self, in_conflict: Subject
    ) -> None:
        with pytest.raises(SafetyRuleError, match="conflicts_settled"):
            in_conflict.engine.reprotect()
        in_conflict.engine.settle_conflicts(
            ConflictChoice(keep=Keep.SOURCE, who="alice", table="*")
        )
        in_conflict.engine.reprotect()
        drained(in_conflict.engine)
        assert in_conflict.rows(Side.TARGET) == {"a": "from the source"}

    def test_arm_when_the_next_attempt_was_made_then_the_stream_is_turned_back(
        self, armed: Subject
    ) -> None:
        rolled_back(armed)
        armed.engine.reprotect()
        armed.write(Side.SOURCE, "a", "1")
        with pytest.raises(SafetyRuleError, match="one_writer"):
            armed.engine.lift_fence(Side.TARGET)
        with pytest.raises(SafetyRuleError, match="one_writer"):
            armed.engine.arm()
        armed.engine.raise_fence(Side.SOURCE, 1.0)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            armed.engine.lift_fence(Side.TARGET)
        drained(armed.engine)
        armed.engine.lift_fence(Side.TARGET)
        assert armed.write(Side.TARGET, "b", "2")
        with pytest.raises(FenceUpError):
            armed.engine.reprotect()
        assert armed.engine.arm().outcome is Outcome.SUCCEEDED
        drained(armed.engine)
        assert armed.engine.status().direction == "target-to-source"
        assert armed.rows(Side.SOURCE) == armed.rows(Side.TARGET) == {"a": "1", "b": "2"}
        rolled_back(armed)
        assert armed.write(Side.SOURCE, "c", "3")

    def test_disarm_when_reprotected_then_both_sides_take_writes(self, armed: Subject) -> None:
        rolled_back(armed)
        armed.engine.reprotect()
        assert armed.engine.disarm().removed
        assert not armed.engine.status().armed
        for side in Side:
            assert armed.write(side, "a", "1")

    def test_disarm_when_somebody_accepts_the_loss_of_the_tail_then_done(
        self, armed: Subject
    ) -> None:
        drained(armed.engine)
        armed.write(Side.TARGET, "a", "1")
        armed.engine.raise_fence(Side.TARGET, 1.0)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            armed.engine.disarm()
        with pytest.raises(SafetyRuleError):
            armed.engine.disarm("alice", Side.SOURCE)
        assert armed.engine.disarm("alice").removed
        assert armed.rows(Side.SOURCE) == {}
