"""A backup and the archive behind it hold what the target holds, whatever was done to it."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.pgoutput import lsn_number

from support.archives import ArchivedEstate

pytestmark = pytest.mark.servers


def test_replay_when_rows_changed_in_every_way_then_the_restored_database_is_the_target(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write(
        "INSERT INTO person (name) SELECT 'new ' || n FROM generate_series(1, 5) n",
        "UPDATE visit SET note = note || ' seen', body = '{\"a\": [1.0, null]}', rate = 'NaN'"
        " WHERE person % 3 = 0",
        "DELETE FROM visit WHERE person % 7 = 0",
        "UPDATE visit SET no = no + 10, tags = ARRAY['x', NULL, 'y\\z'] WHERE person < 5",
    )
    archive.archive_once()
    estate.write(
        # Unique values that are swapped, and one that moves on twice.
        "UPDATE person SET name = 'tmp' WHERE id = 1",
        "UPDATE person SET name = 'p1' WHERE id = 2",
        "UPDATE person SET name = 'p2' WHERE id = 1",
        "DELETE FROM person WHERE id = 9",
        "UPDATE person SET name = 'p9' WHERE id = 10",
        "DELETE FROM line WHERE text = 'l1'",
        "INSERT INTO line VALUES ('l2', 2), ('l2', 2), (NULL, NULL)",
    )
    state = archive.archive_once()
    report = archive.replay(backup, estate.dsn(backup))
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.replayed_segments == 2
    assert report.replayed_upto == state.last_position
    assert report.replayed_commit_at == state.last_commit_at
    assert report.tables == 3
    estate.assert_restored(backup)


def test_replay_when_a_table_was_truncated_then_it_holds_what_came_after(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("INSERT INTO line VALUES ('before', 1)", "TRUNCATE line, visit")
    estate.write("INSERT INTO line VALUES ('after', 1)")
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_replay_when_it_is_done_twice_then_nothing_is_done_the_second_time(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("DELETE FROM person WHERE id < 10")
    archive.archive_once()
    first = archive.replay(backup, estate.dsn(backup))
    estate.write("INSERT INTO person (name) VALUES ('later')")
    archive.archive_once()
    second = archive.replay(backup, estate.dsn(backup), after=first.replayed_upto)
    assert (first.replayed_segments, second.replayed_segments) == (1, 1)
    third = archive.replay(backup, estate.dsn(backup))
    assert (third.replayed_segments, third.rows) == (0, 0)
    estate.assert_restored(backup)


def test_replay_when_somebody_claims_more_than_the_database_has_then_the_database_is_believed(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    estate.write("DELETE FROM person WHERE id < 10")
    state = archive.archive_once()
    report = archive.replay(backup, estate.dsn(backup), after=state.last_position)
    assert report.replayed_segments == 1
    assert "itself had got to" in report.detail
    estate.assert_restored(backup)


def test_replay_when_sequences_moved_on_then_the_restored_ones_are_beyond(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    estate.write("INSERT INTO person (name) SELECT 'q' || n FROM generate_series(1, 500) n")
    archive = estate.archive()
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    with estate.session(backup) as session:
        (given,) = session.execute("SELECT nextval('person_id_seq')").fetchall()[0]
    assert given > 540


def test_replay_when_the_backup_is_of_the_target_then_what_it_has_seen_is_not_taken_back(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive()
    estate.write("UPDATE person SET name = 'old' WHERE id = 1")
    archive.archive_once()
    estate.write("UPDATE person SET name = 'p1' WHERE id = 1", "DELETE FROM visit WHERE no = 1")
    backup = estate.backed_up("t", Side.TARGET)
    report = archive.replay(backup, estate.dsn(backup))
    assert report.replayed_segments == 0
    estate.assert_restored(backup)
    estate.write("UPDATE person SET name = 'newer' WHERE id = 2")
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_replay_when_a_segment_straddles_the_backup_then_what_that_has_seen_is_left_out(
    estate: ArchivedEstate,
) -> None:
    archive = estate.archive()
    before = archive.archive_once().last_position
    estate.write("UPDATE person SET name = 'between' WHERE id = 1")
    archive.archive_once()
    estate.write("UPDATE person SET name = 'seen' WHERE id = 1")
    # As where the position was read, and the snapshot was taken only then.
    backup = estate.backed_up("t", Side.TARGET, position=before)
    assert archive.replay(backup, estate.dsn(backup)).replayed_segments == 0
    estate.assert_restored(backup)


def test_archive_when_failback_itself_has_written_then_that_is_archived_as_well(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    archive = estate.archive()
    archive.archive_once()
    with closing(estate.pair.target()) as session:
        session.execute("SELECT pg_logical_emit_message(true, 'failback', 'source-to-target')")
        session.execute("DELETE FROM visit WHERE person = 1")
        session.commit()
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_replay_when_columns_stand_elsewhere_or_are_computed_there_then_values_go_by_name(
    estate: ArchivedEstate,
) -> None:
    backup = estate.backed_up("b")
    with estate.session(backup) as session:
        # The source was fenced when it was backed up, and its copy is.
        session.execute("SET session_replication_role = replica")
        session.execute("ALTER TABLE visit DROP COLUMN note")
        session.execute(
            "ALTER TABLE visit ADD COLUMN note text; ALTER TABLE line DROP COLUMN amount;"
            " ALTER TABLE line ADD COLUMN amount numeric;"
            " UPDATE visit SET note = E'tab\\tand\\\\line\\n' || person"
        )
        session.execute("TRUNCATE line")
    archive = estate.archive()
    estate.write(
        "TRUNCATE line", "UPDATE visit SET note = 'x'", "INSERT INTO line VALUES ('t', 4.50)"
    )
    archive.archive_once()
    archive.replay(backup, estate.dsn(backup))
    estate.assert_restored(backup)


def test_archive_when_somebody_writes_all_the_time_then_every_end_is_a_moment_of_the_target(
    estate: ArchivedEstate,
) -> None:
    """Two rows that are changed together are equal in whatever was replayed."""
    estate.write("INSERT INTO line VALUES ('sum', 0)", "UPDATE visit SET rate = 0")
    estate.pair.engine().drain(10.0)
    backup = estate.backed_up("b")
    archive = estate.archive()
    over = threading.Event()

    def run(work: Callable[[psycopg.Connection[Any], random.Random], None], seed: int) -> None:
        dice = random.Random(seed)
        with closing(estate.pair.target()) as session:
            while not over.is_set():
                work(session, dice)
                session.commit()

    def transfer(session: psycopg.Connection[Any], dice: random.Random) -> None:
        one, other = dice.sample(range(1, 41), 2)
        session.execute("SELECT FROM visit ORDER BY person FOR UPDATE")
        session.execute("UPDATE visit SET rate = rate + 1 WHERE person = %s", [one])
        session.execute("UPDATE visit SET rate = rate - 1 WHERE person = %s", [other])

    def churn(session: psycopg.Connection[Any], dice: random.Random) -> None:
        if dice.random() < 0.05:
            session.execute("TRUNCATE line")
        session.execute("INSERT INTO line VALUES (%s, 1)", [str(dice.randrange(9))])
        session.execute("DELETE FROM person WHERE id = %s", [dice.randrange(1, 60)])
        session.execute(
            "INSERT INTO person (name) VALUES (%s) ON CONFLICT DO NOTHING",
            [f"p{dice.randrange(60)}"],
        )

    with ThreadPoolExecutor(3) as pool:
        works = enumerate((transfer, churn, churn))
        writers = [pool.submit(run, work, seed) for seed, work in works]
        try:
            upto = ""
            for _ in range(6):
                archive.archive_once()
                upto = archive.replay(backup, estate.dsn(backup), after=upto).replayed_upto
                with estate.session(backup) as session:
                    assert session.execute("SELECT sum(rate) FROM visit").fetchall() == [(0.0,)]
        finally:
            over.set()
        for writer in writers:
            writer.result()
    last = archive.archive_once()
    report = archive.replay(backup, estate.dsn(backup))
    assert lsn_number(report.replayed_upto) == lsn_number(last.last_position)
    estate.assert_restored(backup)
