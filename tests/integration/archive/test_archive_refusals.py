"""What the archive refuses, and what it says about gaps, limits, tables, and its end."""

import pytest

from failback.change_archive import arming
from failback.errors import (
    ArchiveChangedError,
    ArchiveError,
    ArchiveGapError,
    ConfigurationError,
    NotArmedError,
    SlotBusyError,
    UnreachableError,
)
from failback.models.common import Outcome, Side

from support.archives import ArchivedEstate

pytestmark = pytest.mark.servers


def _last(estate: ArchivedEstate, suffix: str) -> str:
    return max(key for key in estate.objects if "/segments/" in key and key.endswith(suffix))


def test_replay_when_a_byte_of_the_data_was_flipped_then_the_segment_is_named(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    before = estate.contents(backup)
    archive = estate.archive()
    estate.write("DELETE FROM visit WHERE person = 1")
    archive.archive_once()
    path = estate.folder / _last(estate, ".gz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveChangedError, match="other bytes"):
        archive.replay(backup, estate.dsn(backup))
    path.unlink()
    with pytest.raises(ArchiveGapError, match="are missing"):
        archive.replay(backup, estate.dsn(backup))
    assert estate.contents(backup) == before


def test_replay_when_a_manifest_was_changed_or_moved_then_it_is_refused(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("DELETE FROM visit WHERE person = 1")
    archive.archive_once()
    earlier = (estate.folder / _last(estate, ".json")).read_bytes()
    estate.write("DELETE FROM visit WHERE person = 2")
    archive.archive_once()
    path = estate.folder / _last(estate, ".json")
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b'"keys": 1', b'"keys": 2'))
    with pytest.raises(ArchiveChangedError, match="digest"):
        archive.replay(backup, estate.dsn(backup))
    path.write_bytes(earlier)
    with pytest.raises(ArchiveChangedError, match="has the manifest of"):
        archive.replay(backup, estate.dsn(backup))
    path.write_bytes(sound)
    assert archive.replay(backup, estate.dsn(backup)).outcome is Outcome.SUCCEEDED


def test_archive_when_the_slot_is_gone_then_the_gap_shows_and_the_next_backup_can_be_followed(
    estate: ArchivedEstate,
) -> None:
    old = estate.backed_up("old")
    archive = estate.archive()
    estate.write("UPDATE visit SET note = 'before' WHERE person = 1")
    kept = archive.archive_once()
    assert archive.state(old).joins_backup
    with estate.pair.admin(Side.TARGET) as session:
        session.execute("SELECT pg_drop_replication_slot(%s)", [estate.slot])
    assert "not archived now" in archive.state(old).detail
    estate.write("UPDATE visit SET note = 'lost' WHERE person = 2")
    begun = archive.archive_once()
    assert "gap" in begun.detail
    assert "is gone" in begun.detail
    state = estate.archive().state(old)
    assert not state.joins_backup
    assert "There is a gap before" in state.detail
    estate.write("UPDATE visit SET note = 'after' WHERE person = 3")
    estate.pair.engine().drain(10.0)
    new = estate.backed_up("new")
    estate.write("DELETE FROM visit WHERE person = 4")
    archive.archive_once()
    assert estate.archive().state(new).joins_backup
    report = archive.replay(new, estate.dsn(new))
    assert report.outcome is Outcome.SUCCEEDED
    estate.assert_restored(new)
    # What is there of the old one is better than the backup alone, and is said to end early.
    report = archive.replay(old, estate.dsn(old))
    assert report.outcome is Outcome.INCONCLUSIVE
    assert report.replayed_upto == kept.last_position
    assert "gap" in report.detail


def test_archive_when_somebody_else_moved_the_slot_then_it_is_a_gap(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive()
    archive.archive_once()
    estate.write("DELETE FROM visit WHERE person = 1")
    with estate.pair.admin(Side.TARGET) as session:
        session.execute(
            "SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [estate.slot]
        )
    assert "somebody else advanced it" in archive.archive_once().detail


def test_archive_when_the_store_stays_away_too_long_then_the_slot_is_given_up(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive(max_retained_wal_mb=1)
    archive.archive_once()
    estate.write(
        "INSERT INTO line SELECT md5(n::text), n FROM generate_series(1, 20000) AS n",
    )
    estate.store.error = UnreachableError("The store does not answer.")
    estate.store.at = len(estate.store.done)
    with pytest.raises(UnreachableError):
        archive.archive_once()
    with estate.pair.admin(Side.TARGET) as session:
        assert not session.execute(
            "SELECT FROM pg_replication_slots WHERE slot_name = %s", [estate.slot]
        ).fetchall()
    assert "archive.max_retained_wal_mb" in archive.state().detail
    begun = archive.archive_once()
    assert "archive.max_retained_wal_mb" in begun.detail
    assert archive.archive_once().last_position != begun.last_position


def test_replay_when_the_backup_says_no_position_or_is_too_old_then_it_is_refused(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive()
    silent = estate.backed_up("silent", applied_upto="")
    with pytest.raises(ArchiveError, match="does not say up to which change"):
        archive.replay(silent, estate.dsn(silent))
    assert "does not say" in archive.state(silent).detail
    old = estate.backed_up("old", applied_upto="0/1")
    with pytest.raises(ArchiveGapError, match="does not reach back"):
        archive.replay(old, estate.dsn(old))
    assert not archive.state(old).joins_backup


def test_archive_when_a_table_is_made_later_then_it_is_named_and_armed_whole(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    made = ("CREATE TABLE late (id int PRIMARY KEY)", "INSERT INTO late VALUES (1), (2)")
    estate.pair.run(Side.TARGET, *made)
    assert "public.late is not archived" in archive.archive_once().detail
    archive.arm()
    estate.write("INSERT INTO late VALUES (3)", "DELETE FROM visit WHERE person = 1")
    archive.archive_once()
    before = estate.contents(backup)
    with pytest.raises(ArchiveError, match=r"lacks .* public\.late"):
        archive.replay(backup, estate.dsn(backup))
    assert estate.contents(backup) == before
    with estate.session(backup) as session:
        session.execute(
            "CREATE TABLE late (id int PRIMARY KEY); ALTER TABLE late OWNER TO postgres"
        )
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_archive_when_a_table_is_unlogged_then_it_is_named_and_others_go_on(
    estate: ArchivedEstate,
) -> None:
    estate.pair.run(Side.TARGET, "CREATE UNLOGGED TABLE cache (id int PRIMARY KEY)")
    archive = estate.archive()
    archive.arm()
    assert "public.cache is unlogged" in archive.archive_once().detail


def test_replay_when_a_row_does_not_fit_then_the_table_is_named_and_it_goes_on_later(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("UPDATE visit SET note = 'forbidden' WHERE person = 1")
    archive.archive_once()
    with estate.session(backup) as session:
        session.execute("ALTER TABLE visit ADD CONSTRAINT no CHECK (note <> 'forbidden')")
    with pytest.raises(ArchiveError, match=r"refuses archived rows of public\.visit"):
        archive.replay(backup, estate.dsn(backup))
    with estate.session(backup) as session:
        session.execute("ALTER TABLE visit DROP CONSTRAINT no")
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_archive_when_another_one_is_at_it_then_it_stands_aside(
    estate: ArchivedEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = estate.archive()
    monkeypatch.setattr(arming, "WAIT_SECONDS", 0.2)
    with estate.pair.admin(Side.TARGET) as session:
        arming.take(session)
        with pytest.raises(SlotBusyError):
            archive.archive_once()
    archive.archive_once()


def test_prune_when_backups_go_then_what_the_oldest_needs_stays(estate: ArchivedEstate) -> None:
    archive = estate.archive()
    for person in (1, 2):
        estate.write(f"DELETE FROM visit WHERE person = {person}")
        archive.archive_once()
    estate.pair.engine().drain(10.0)
    backup = estate.backed_up("b")
    estate.write("DELETE FROM visit WHERE person = 3")
    archive.archive_once()
    with pytest.raises(ConfigurationError):
        archive.prune("")
    before = len(estate.objects)
    assert archive.prune(backup) == 2
    assert len(estate.objects) < before
    assert archive.prune(backup) == 0
    assert archive.archive_once().segments == 2
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_disarm_when_the_archive_is_armed_then_nothing_is_left_and_arming_begins_anew(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive()
    archive.archive_once()
    archive.disarm()
    archive.disarm()
    with estate.pair.admin(Side.TARGET) as session:
        assert not session.execute(
            "SELECT FROM pg_replication_slots WHERE slot_name = %s", [estate.slot]
        ).fetchall()
        assert not session.execute(
            "SELECT FROM pg_publication WHERE pubname = %s", [estate.slot]
        ).fetchall()
    estate.archive().arm()
    assert len({key.split("/")[2] for key in estate.objects}) == 2


def test_disarm_of_the_estate_when_it_is_archived_then_that_goes_as_well(
    estate: ArchivedEstate,
) -> None:
    engine = estate.pair.engine(archived=True)
    assert not [each for each in engine.status().problems if estate.slot in each.problem]
    forgotten = estate.pair.engine().status().problems
    assert [each for each in forgotten if f"slot {estate.slot} without" in each.problem]
    removed = engine.disarm("a test").removed
    assert {f"target: slot {estate.slot}", f"target: publication {estate.slot}"} <= set(removed)
    with pytest.raises(NotArmedError):
        estate.archive().archive_once()


def test_archive_when_nothing_is_armed_then_it_says_what_to_run(estate: ArchivedEstate) -> None:
    estate.archive().disarm()
    estate.pair.engine().disarm("a test")
    with pytest.raises(NotArmedError, match="not armed"):
        estate.archive().arm()
