"""What every recovery promises, on the fake and on real servers."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from failback.errors import NoProvenBackupError, NothingRestoredError
from failback.models.common import Outcome
from failback.models.recovery import Condition, Part, RecoveryService
from failback.providers.recovery import FakeRecovery
from failback.recovery_ports import Recovery

from support.recoveries import Damaged, balanced

ROLLBACK = "rollback/shop/1"


class Subject(NamedTuple):
    """A recovery of an estate whose schema auth is gone, with one proven backup."""

    recovery: Recovery
    backup: str


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.servers)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "fake":
        fake = FakeRecovery({Part.DATABASE: Condition.CORRUPTED, Part.AUTH: Condition.GONE})
        yield Subject(fake, fake.backup)
        return
    estate: Damaged = request.getfixturevalue("estate")
    estate.run("DROP SCHEMA auth CASCADE")
    (backup,) = (path.name for path in (estate.store / "shop").iterdir())
    with balanced(estate):
        yield Subject(estate.recovery(), backup)


def test_assessment_when_parts_are_damaged_then_they_need_a_restore_and_evidence_says_why(
    subject: Subject,
) -> None:
    found = subject.recovery.assess()
    needing = {one.part for one in found.parts if one.needs_restore}
    assert needing == {Part.DATABASE, Part.AUTH}
    assert {one.part for one in found.parts} == set(Part)
    assert all(one.evidence for one in found.parts)
    assert found.choice.backup == subject.backup == subject.recovery.choose_backup().backup
    assert found.restore_seconds is not None


def test_steps_when_nothing_was_restored_then_they_refuse(subject: Subject) -> None:
    for step in (subject.recovery.verify, subject.recovery.rebuild):
        with pytest.raises(NothingRestoredError):
            step(ROLLBACK)
    with pytest.raises(NothingRestoredError):
        subject.recovery.replay(ROLLBACK, subject.backup)


def test_restore_when_the_backup_is_unknown_then_refused(subject: Subject) -> None:
    with pytest.raises(NoProvenBackupError):
        subject.recovery.restore(Part.DATABASE, ROLLBACK, "20200101T000000.000000Z-000000")


def test_procedure_when_every_step_is_done_twice_then_it_ends_well(subject: Subject) -> None:
    recovery, backup = subject
    for _ in range(2):
        assert recovery.activate().outcome is Outcome.SUCCEEDED
        report = recovery.restore(Part.DATABASE, ROLLBACK, backup)
        assert (report.part, report.outcome) == (Part.DATABASE, Outcome.SUCCEEDED)
        assert (report.backup, bool(report.place)) == (backup, True)
        assert recovery.restore(Part.AUTH, ROLLBACK, backup).outcome is Outcome.SUCCEEDED
        for _ in range(2):
            assert recovery.replay(ROLLBACK, backup).outcome is Outcome.SUCCEEDED
        assert recovery.verify(ROLLBACK).outcome is Outcome.SUCCEEDED
        for _ in range(2):
            assert recovery.rebuild(ROLLBACK).outcome is Outcome.SUCCEEDED
        for service in (RecoveryService.AUTHENTICATION, RecoveryService.DATABASE_READ):
            for _ in range(2):
                assert recovery.enable(service, 100).outcome is not Outcome.FAILED
            assert recovery.look(service).outcome is Outcome.SUCCEEDED
