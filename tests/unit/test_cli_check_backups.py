"""What `failback check` says of backups: the newest proven one's age, or what to run."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failback import certificates
from failback.cli.readiness.backups import examine_backups
from failback.cli.readiness.findings import Answer, Finding
from failback.config import Estate, load
from failback.providers.backup import FolderStore
from failback.providers.backup.backups import _proof
from failback.providers.backup.proving import Held
from failback.providers.backup.shelf import Shelf

from support.backups import CONFIGURATION, Shelved, shelved

Take = Callable[..., Shelved]


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    certificates.generate(tmp_path / "key")
    path = tmp_path / "failback.yaml"
    path.write_text(
        CONFIGURATION.format(estate="shop", dsn="dbname=app", key=tmp_path / "key", folder=tmp_path)
    )
    return load(path)


@pytest.fixture
def take(tmp_path: Path, estate: Estate) -> Take:
    """Puts a backup of the hour with this number there, of some age, proven or not or broken."""

    def made(
        number: int, *, hours: float = 1.0, proven: bool = False, problem: str = ""
    ) -> Shelved:
        backup = shelved(tmp_path / "store", tmp_path / "key", number)
        at = datetime.now(UTC) - timedelta(hours=hours)
        backup.seal(backup.manifest.model_copy(update={"taken_at": at}))
        if proven or problem:
            shelf = Shelf(FolderStore(tmp_path / "store"), "shop", backup.trust)
            held = Held("16.1", "sound", ()) if proven else None
            shelf.write(_proof(shelf.manifest(backup.id), 1.0, held=held, problem=problem))
        return backup

    return made


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def test_backups_when_none_are_configured_then_a_lost_source_is_lost(estate: Estate) -> None:
    found = only(examine_backups(estate.model_copy(update={"backup": None})))
    assert (found.answer, "docs/backups.md" in found.cure) == (Answer.UNKNOWN, True)


def test_backups_when_there_is_none_then_both_commands_are_named(estate: Estate) -> None:
    found = only(examine_backups(estate))
    assert (found.answer, found.cure) == (
        Answer.UNKNOWN,
        "Run failback backup now, then failback backup prove.",
    )


def test_backups_when_none_was_restored_then_it_is_to_be_proved(estate: Estate, take: Take) -> None:
    take(1)
    found = only(examine_backups(estate))
    assert (found.answer, found.cure) == (Answer.UNKNOWN, "Run failback backup prove.")


def test_backups_when_the_newest_is_proven_then_its_age_is_told(estate: Estate, take: Take) -> None:
    backup = take(1, hours=5.5, proven=True)
    found = only(examine_backups(estate))
    assert (found.answer, found.cure) == (Answer.YES, "")
    assert found.detail.startswith(f"{backup.id} was taken 5.5 h ago and restored by ")


def test_backups_when_the_proven_one_is_too_old_then_said_with_what_to_run(
    estate: Estate, take: Take
) -> None:
    take(1, hours=72, proven=True)
    found = only(examine_backups(estate))
    assert (found.answer, "3.0 d ago" in found.detail) == (Answer.UNKNOWN, True)
    assert "failback backup now" in found.cure
    take(2)
    assert only(examine_backups(estate)).cure == "Run failback backup prove: there are newer ones."


def test_backups_when_the_newest_does_not_hold_then_it_is_named(estate: Estate, take: Take) -> None:
    take(1, proven=True)
    broken = take(2, problem="orders has 1,999 rows instead of 2,000")
    proven, newest = examine_backups(estate)
    assert (proven.answer, newest.answer) == (Answer.YES, Answer.NO)
    assert newest.detail == f"{broken.id}: orders has 1,999 rows instead of 2,000"
