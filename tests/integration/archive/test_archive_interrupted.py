"""Whatever ends a round or a replay, the next one goes on, and nothing is left out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from failback.change_archive.chain import Range, path_from
from failback.errors import ArchiveGapError, FailbackError, UnreachableError
from failback.lab.processes import wait_until
from failback.models.common import Side

from support.archives import ArchivedEstate, FailingStore, Killed

pytestmark = pytest.mark.servers


def _ranges(estate: ArchivedEstate) -> list[Range]:
    names = [key.rpartition("/")[2] for key in estate.objects if "/segments/" in key]
    found = [Range.parse(name.removesuffix(".json")) for name in names if name.endswith(".json")]
    return [each for each in found if each is not None]


def _failing(estate: ArchivedEstate, at: int, *, after: bool) -> None:
    """Have the n-th operation on the store from now on kill whoever asks for it."""
    estate.store = FailingStore(estate.folder)
    estate.store.at, estate.store.after = at, after


def test_archive_when_it_is_killed_at_any_operation_then_no_change_is_left_out(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    estate.archive().archive_once()
    number, killed_at = 0, []
    for after in (False, True):
        at = 0
        while True:
            number += 1
            estate.write(
                f"UPDATE visit SET note = 'n{number}' WHERE person = {1 + number % 40}",
                f"INSERT INTO person (name) VALUES ('k{number}')",
            )
            _failing(estate, at, after=after)
            try:
                estate.archive().archive_once()
            except Killed:
                killed_at.append((estate.store.done[-1], after))
                at += 1
            else:
                break
    for what in ("list", "read", "put gz", "put json"):
        assert {(what, False), (what, True)} <= set(killed_at)
    estate.store = FailingStore(estate.folder)
    archive = estate.archive()
    last = archive.archive_once()
    found = _ranges(estate)
    assert path_from(min(found).start, found).resumes is None
    report = archive.replay(backup, estate.dsn(backup))
    assert report.replayed_upto == last.last_position
    estate.assert_restored(backup)


def test_archive_when_it_ended_before_the_slot_was_advanced_then_the_segment_is_not_told_again(
    estate: ArchivedEstate,
) -> None:
    estate.archive().archive_once()
    estate.write("DELETE FROM visit WHERE person = 3")
    # Listing, chain, manifest of the last segment, what follows it, data, manifest.
    _failing(estate, 5, after=True)
    with suppress(Killed):
        estate.archive().archive_once()
    assert estate.store.done[-1] == "put json"
    estate.store = FailingStore(estate.folder)
    state = estate.archive().archive_once()
    with estate.pair.admin(Side.TARGET) as session:
        (confirmed,) = session.execute(
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s",
            [estate.slot],
        ).fetchall()[0]
    assert confirmed == state.last_position
    assert sum(each.keys for each in _ranges(estate)) == state.keys


def test_archive_when_the_store_is_away_then_it_says_so_and_goes_on_later(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    archive.archive_once()
    estate.write("DELETE FROM visit WHERE person = 3")
    estate.store.error = UnreachableError("The store does not answer.")
    estate.store.at = len(estate.store.done)
    with pytest.raises(UnreachableError, match="store"):
        archive.archive_once()
    estate.write("DELETE FROM visit WHERE person = 4")
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_archive_when_the_source_is_dead_then_it_goes_on(estate: ArchivedEstate) -> None:
    backup = estate.backed_up("b")
    with psycopg.connect(estate.server(Side.SOURCE).admin_dsn(), autocommit=True) as session:
        session.execute(f"ALTER DATABASE {estate.pair.databases.name} ALLOW_CONNECTIONS false")
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [estate.pair.databases.name],
        )
        try:
            with pytest.raises(FailbackError):
                estate.pair.engine().run_batch()
            archive = estate.archive()
            estate.write("DELETE FROM visit WHERE person = 3")
            archive.archive_once()
            assert archive.state(backup).joins_backup
            archive.replay(backup, estate.dsn(backup))
            estate.assert_restored(backup)
        finally:
            session.execute(f"ALTER DATABASE {estate.pair.databases.name} ALLOW_CONNECTIONS true")


def _killed_by_telling(number: int) -> Callable[[str], None]:
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == number:
            raise Killed

    return tell


def test_replay_when_it_is_killed_before_any_segment_or_object_then_it_goes_on_from_there(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    for number in range(4):
        estate.write(
            f"UPDATE visit SET note = 'n{number}' WHERE person % 4 = {number}",
            f"DELETE FROM person WHERE id = {number + 1}",
        )
        archive.archive_once()
    segments = 0
    for number in range(2, 7):
        with suppress(Killed):
            archive.replay(backup, estate.dsn(backup), progress=_killed_by_telling(number))
        with estate.session(backup) as session:
            found = session.execute("SELECT segments FROM failback_archive.replayed").fetchall()
        assert found[0][0] >= segments
        segments = found[0][0]
    assert segments >= 3
    for at in range(30):
        _failing(estate, at, after=False)
        try:
            estate.archive().replay(backup, estate.dsn(backup))
        except Killed:
            continue
        break
    else:
        pytest.fail("The replay never ends.")
    estate.assert_restored(backup)


def test_replay_when_its_session_is_ended_in_a_segment_then_nothing_of_that_segment_is_there(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("DELETE FROM person WHERE id < 30")
    archive.archive_once()
    with (
        estate.session(backup) as session,
        estate.session(backup) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        with session.transaction():
            # The replay waits for this row in the middle of its work.
            session.execute("SET LOCAL session_replication_role = replica")
            session.execute("UPDATE person SET born = born WHERE id = 29")
            replayed = pool.submit(archive.replay, backup, estate.dsn(backup))
            waiting = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            assert wait_until(lambda: other.execute(waiting).fetchone() is not None, 10.0)
        with pytest.raises(UnreachableError):
            replayed.result()
    with estate.session(backup) as session:
        assert session.execute("SELECT count(*) FROM person WHERE id < 30").fetchall() == [(29,)]
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_replay_when_a_segment_is_missing_then_it_says_which_and_changes_nothing(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    before = estate.contents(backup)
    archive = estate.archive()
    for person in (1, 2, 3):
        estate.write(f"DELETE FROM visit WHERE person = {person}")
        archive.archive_once()
    middle = sorted(_ranges(estate))[-2]
    for path in estate.folder.rglob(f"{middle.name}.json"):
        path.unlink()
    with pytest.raises(ArchiveGapError, match="nothing covers"):
        archive.replay(backup, estate.dsn(backup))
    assert estate.contents(backup) == before
    assert not archive.state(backup).joins_backup
