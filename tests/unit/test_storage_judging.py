"""What is deleted, kept or copied: the rules that a source's objects hang on."""

from datetime import UTC, datetime, timedelta

import pytest

from failback.models.storage import ObjectEntry
from failback.object_sync.judging import Action, Finding, Known, judged

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)


def entry(etag: str, modified: datetime = BEFORE) -> ObjectEntry:
    return ObjectEntry(key="a", size=1, etag=etag, modified=modified)


def found(
    target: ObjectEntry | None,
    source: ObjectEntry | None,
    known: Known | None = None,
    deleted_at: datetime | None = None,
    *,
    intended: bool = False,
) -> Finding:
    return Finding("a", target, source, known, deleted_at, intended=intended)


BOTH = Known("t", "s")


@pytest.mark.parametrize(
    ("finding", "action"),
    [
        (found(entry("t"), None), Action.COPY),
        (found(entry("t"), None, BOTH), Action.COPY),
        (found(entry("t"), entry("s")), Action.COMPARE),
        (found(entry("new"), entry("s"), BOTH), Action.COMPARE),
        (found(entry("new"), entry("foreign"), BOTH), Action.COMPARE_ONLY),
        (found(entry("new"), entry("ours"), BOTH, intended=True), Action.COMPARE),
        (found(entry("t"), entry("s"), Known("t", None)), Action.COMPARE_ONLY),
    ],
)
def test_object_when_the_target_has_it_then_it_is_copied_unless_somebody_wrote_the_source(
    finding: Finding, action: Action
) -> None:
    assert judged(finding) is action


@pytest.mark.parametrize(
    ("finding", "action"),
    [
        (found(None, entry("s")), Action.UNEXPLAINED),
        (found(None, entry("ours"), intended=True), Action.DELETE),
        (found(None, entry("s"), Known(None, "s")), Action.OWN),
        (found(None, entry("s"), Known(None, "other")), Action.OWN),
        (found(None, entry("s"), BOTH), Action.DELETE),
        (found(None, entry("foreign"), BOTH), Action.CONFLICT),
        (found(None, entry("ours"), BOTH, intended=True), Action.DELETE),
        (found(None, entry("s"), Known("t", None)), Action.CONFLICT),
        (found(None, entry("s"), None, NOON), Action.DELETE),
        (found(None, entry("s", AFTER), None, NOON), Action.CONFLICT),
        (found(None, entry("s"), Known(None, "s"), NOON), Action.DELETE),
    ],
)
def test_object_when_only_the_source_has_it_then_it_goes_only_if_the_target_had_it(
    finding: Finding, action: Action
) -> None:
    assert judged(finding) is action


@pytest.mark.parametrize("known", [None, Known(None, "s"), Known(None, "x")])
@pytest.mark.parametrize("target_wins", [True, False])
def test_object_when_the_target_never_had_it_then_no_option_deletes_it(
    known: Known | None, target_wins: bool
) -> None:
    finding = found(None, entry("s"), known)
    assert judged(finding, target_wins=target_wins) in {Action.UNEXPLAINED, Action.OWN}


def test_conflict_when_the_target_wins_then_it_is_carried() -> None:
    assert judged(found(entry("t2"), entry("x"), BOTH), target_wins=True) is Action.COMPARE
    assert judged(found(None, entry("x"), BOTH), target_wins=True) is Action.DELETE
