"""The judge of lost writes: what it calls lost, what wrong, and what it lets pass."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from failback.errors import JournalError, UnreachableError
from failback.lab.audit import audit, judge
from failback.lab.journal import (
    Journal,
    JournalHeader,
    JournalWriter,
    WriteKind,
    WriteOutcome,
    WriteRecord,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OUTCOMES = {
    "ok": WriteOutcome.ACKNOWLEDGED,
    "?": WriteOutcome.UNKNOWN,
    "no": WriteOutcome.REFUSED,
}


def history(*steps: str, key: str = "lab_writes/k") -> Journal:
    """A journal of one key from steps such as `ok v1` (put) and `? -` (deletion)."""
    records = []
    for sequence, step in enumerate(steps, start=1):
        outcome, value = step.split()
        records.append(
            WriteRecord(
                sequence=sequence,
                time=NOW,
                kind=WriteKind.DELETE if value == "-" else WriteKind.PUT,
                key=key,
                value=None if value == "-" else value,
                outcome=OUTCOMES[outcome],
            )
        )
    header = JournalHeader(journal="failback-load", version=1, started_at=NOW)
    return Journal(header=header, records=tuple(records))


@pytest.mark.parametrize(
    ("steps", "found", "verdict"),
    [
        # Acknowledged writes, plainly.
        (["ok v1"], "v1", "right"),
        (["ok v1"], None, "lost"),
        (["ok v1"], "other", "wrong"),
        (["ok v1", "ok v2"], "v2", "right"),
        (["ok v1", "ok v2"], "v1", "lost"),
        (["ok v1", "ok v2"], None, "lost"),
        (["ok v1", "ok -"], None, "right"),
        (["ok v1", "ok -"], "v1", "lost"),
        (["ok v1", "ok -"], "other", "lost"),
        (["ok v1", "ok -", "ok v2"], "v2", "right"),
        (["ok v1", "ok -", "ok v2"], None, "lost"),
        (["ok v1", "ok v2", "ok v1"], "v1", "right"),
        # An unknown outcome: either state is right.
        (["ok v1", "? v2"], "v1", "right"),
        (["ok v1", "? v2"], "v2", "right"),
        (["ok v1", "? v2"], None, "lost"),
        (["ok v1", "? v2"], "other", "wrong"),
        (["ok v1", "? -"], "v1", "right"),
        (["ok v1", "? -"], None, "right"),
        (["? v1"], None, "right"),
        (["? v1"], "v1", "right"),
        (["? v1"], "other", "wrong"),
        (["ok v1", "? v2", "? v3"], "v1", "right"),
        (["ok v1", "? v2", "? v3"], "v2", "right"),
        (["ok v1", "? v2", "? v3"], "v3", "right"),
        (["ok v1", "? -", "? v3"], None, "right"),
        # … until a later write of that key was acknowledged.
        (["ok v1", "? v2", "ok v3"], "v3", "right"),
        (["ok v1", "? v2", "ok v3"], "v2", "lost"),
        (["ok v1", "? v2", "ok v3"], "v1", "lost"),
        (["? v1", "ok -"], "v1", "lost"),
        (["? -", "ok v2"], None, "lost"),
        # A refused write must not be there.
        (["no v1"], None, "right"),
        (["no v1"], "v1", "wrong"),
        (["ok v1", "no v2"], "v1", "right"),
        (["ok v1", "no v2"], "v2", "wrong"),
        (["ok v1", "no -"], "v1", "right"),
        (["ok v1", "no -"], None, "lost"),
        (["ok -", "no v2"], "v2", "lost"),
        (["ok v1", "no v2", "? v2"], "v2", "right"),
    ],
)
def test_key_when_judged_by_its_history_gets_this_verdict(
    steps: list[str], found: str | None, verdict: str
) -> None:
    report = judge(history(*steps), {} if found is None else {"lab_writes/k": found})
    assert (report.lost, report.wrong) == (int(verdict == "lost"), int(verdict == "wrong"))
    assert report.clean is (verdict == "right")
    assert len(report.lost_examples) == report.lost
    assert len(report.wrong_examples) == report.wrong


@pytest.mark.parametrize(
    ("steps", "stored", "has_row", "verdict"),
    [
        (["ok v1"], "v1", True, "right"),
        (["ok v1"], "v1", False, "lost"),
        (["ok v1"], None, True, "lost"),
        (["ok v1"], None, False, "lost"),
        (["ok v1"], "other", True, "wrong"),
        (["ok v1", "ok v2"], "v1", True, "lost"),
        (["ok v1", "ok -"], None, False, "right"),
        (["ok v1", "ok -"], None, True, "lost"),
        (["ok v1", "ok -"], "v1", False, "lost"),
        (["ok v1", "ok -"], "v1", True, "lost"),
        # A write that may be half done: the bytes alone are judged.
        (["ok v1", "? v2"], "v2", True, "right"),
        (["? v1"], "v1", False, "right"),
        (["? v1"], "other", False, "wrong"),
        (["ok v1", "? -"], None, True, "right"),
        (["ok v1", "? v2"], None, True, "lost"),
        # A refused write must not be there.
        (["no v1"], "v1", True, "wrong"),
        (["ok v1", "no -"], None, False, "lost"),
    ],
)
def test_object_when_judged_then_bytes_and_row_both_count(
    steps: list[str], stored: str | None, has_row: bool, verdict: str
) -> None:
    key = "objects/documents/a.txt"
    report = judge(
        history(*steps, key=key),
        {key: "a version"} if has_row else {},
        {} if stored is None else {key: stored},
    )
    lost, wrong = int(verdict == "lost"), int(verdict == "wrong")
    assert (report.lost, report.wrong) == (lost, wrong)
    assert (report.objects, report.objects_lost, report.objects_wrong) == (1, lost, wrong)


def test_objects_when_nobody_said_where_they_are_then_they_are_counted_and_not_judged() -> None:
    report = judge(history("ok v1", key="objects/documents/a.txt"), {})
    assert (report.lost, report.keys, report.objects, report.objects_unjudged) == (0, 0, 0, 1)


def test_report_when_rendered_is_the_agreed_sentence() -> None:
    report = judge(history("ok v1", "ok v2", "no v3", "? v4"), {"lab_writes/k": "v1"})
    assert report.sentence == "acknowledged: 2, lost: 1, wrong: 0"
    assert (report.unknown, report.refused, report.keys) == (1, 1, 1)
    assert report.lost_examples[0].sentence == "lab_writes/k: expected 'v2' or 'v4', found 'v1'"


def test_journal_without_a_write_is_clean() -> None:
    assert judge(history(), {}).sentence == "acknowledged: 0, lost: 0, wrong: 0"


@pytest.mark.parametrize("key", ["orders/1", "lab_writes", "lab_writes/", "documents/no-uuid"])
def test_key_that_names_no_row_is_refused_before_anything_is_read(tmp_path: Path, key: str) -> None:
    path = tmp_path / "journal"
    with JournalWriter(path) as writer:
        writer.sent(WriteKind.PUT, key, "x")
    with pytest.raises(JournalError, match="names no row of the product"):
        audit(path, "host=127.0.0.1 port=9 dbname=none")


def test_database_that_does_not_answer_is_unreachable_not_clean(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalWriter(path) as writer:
        writer.sent(WriteKind.PUT, "lab_writes/a", "x")
    with pytest.raises(UnreachableError, match="cannot be audited"):
        audit(path, "host=127.0.0.1 port=9 dbname=none")
