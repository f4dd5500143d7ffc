"""What every reverse sync keeps about conflicts, and about the way to the next attempt."""

import pytest

from failback.errors import SafetyRuleError
from failback.models.common import Side
from failback.models.settling import ConflictChoice, Keep, Settled

from support.migrations import Subject, drained


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
