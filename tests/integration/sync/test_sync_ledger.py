"""The ledger between real servers: what it spares, what it notices, and what it never hides."""

from collections.abc import Callable
from types import SimpleNamespace

import psycopg
import pytest

from failback.errors import NotArmedError
from failback.models.common import Outcome, Side
from failback.models.sync import VerifyReport
from failback.reverse_sync import capture
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.engine import ReverseSync

from .conftest import Pair

pytestmark = pytest.mark.servers

ROWS = 20_000
TABLE = (
    "CREATE TABLE t (id bigint PRIMARY KEY, v int NOT NULL, w text)",
    f"INSERT INTO t SELECT g, g % 7, 'row ' || g FROM generate_series(1, {ROWS}) g",
)
COMPOSITE = (
    'CREATE TABLE "Two Keys" (a text COLLATE "C", b uuid, c date, v int, PRIMARY KEY (a, b, c))',
    (
        'INSERT INTO "Two Keys" SELECT (g % 5)::text, md5(g::text)::uuid,'
        " '2026-01-01'::date + g % 9,"
        " g FROM generate_series(1, 9000) g"
    ),
)

Arm = Callable[..., ReverseSync]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failback.reverse_sync.ledger.CHUNK_BYTES", 32 * 1024)


def quietly(pair: Pair, side: Side, statement: str) -> None:
    """A change past triggers, as a superuser under the replica role makes it."""
    with pair.admin(side) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statement)


def kept(engine: ReverseSync) -> int:
    """Verify until every chunk is clean; returns how many there are."""
    report = engine.verify_some(60.0)
    assert (report.dirty, report.differing) == (0, 0), report
    return report.clean


def carried(engine: ReverseSync) -> None:
    report = engine.drain(20.0)
    assert report.outcome is Outcome.SUCCEEDED, report


def parts(report: VerifyReport) -> tuple[int, int]:
    return report.chunks_verified, report.chunks_by_ledger


def equal_to_cold(engine: ReverseSync) -> VerifyReport:
    """A verification by the ledger, whose rows and digests are those of a cold one."""
    report, cold = engine.verify(), engine.verify(cold=True)
    assert cold.chunks_by_ledger == 0
    assert [(t.table, t.target_rows, t.target_digest) for t in report.tables] == [
        (t.table, t.target_rows, t.target_digest) for t in cold.tables
    ]
    return report


def test_verification_when_nothing_changed_reads_nothing_and_says_the_same(armed: Arm) -> None:
    engine = armed(*TABLE, *COMPOSITE)
    first = engine.verify()
    assert first.outcome is Outcome.SUCCEEDED
    assert first.chunks_by_ledger == 0
    chunks = kept(engine)
    assert chunks > 20
    report = equal_to_cold(engine)
    assert parts(report) == (0, chunks)
    assert report.ledger_oldest_at is not None
    assert sum(table.source_rows for table in report.tables) == ROWS + 9000


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        ("UPDATE t SET v = v + 1 WHERE id = 77", 1),
        ("DELETE FROM t WHERE id IN (1, 20000)", 2),
        ("INSERT INTO t VALUES (-5, 1, 'before the first'), (99999, 1, 'after the last')", 2),
        ("UPDATE t SET id = id + 100000 WHERE id = 5", 2),
        ("UPDATE \"Two Keys\" SET v = -1 WHERE a = '3' AND v = 13", 1),
        ('DELETE FROM "Two Keys" WHERE v = 4', 1),
    ],
)
def test_chunk_when_a_batch_changed_it_is_read_again_and_no_other(
    armed: Arm, pair: Pair, change: str, dirty: int
) -> None:
    engine = armed(*TABLE, *COMPOSITE)
    chunks = kept(engine)
    pair.run(Side.TARGET, change)
    carried(engine)
    report = equal_to_cold(engine)
    assert report.outcome is Outcome.SUCCEEDED
    # The first one recorded what it had read, so that a second one reads nothing.
    assert parts(report) == (dirty, chunks - dirty)
    assert parts(engine.verify()) == (0, chunks)


def overtaken(monkeypatch: pytest.MonkeyPatch, engine: ReverseSync, pair: Pair) -> list[int]:
    """Whoever looks at the slot finds that a batch has just moved it; counts the batches."""
    looks: list[int] = []

    def looked(session: Connection, name: str) -> capture.Slot:
        if not looks:
            looks.append(1)
            pair.run(Side.TARGET, "UPDATE t SET v = v + 1 WHERE id = 4711")
            assert engine.run_batch().keys == 1
        return capture.read_slot(session, name)

    seen = SimpleNamespace(read_slot=looked, check_slot=capture.check_slot)
    monkeypatch.setattr("failback.reverse_sync.overtaking.capture", seen)
    return looks


def test_slot_when_a_batch_moves_it_after_the_position_was_read_then_it_is_not_taken_for_lost(
    armed: Arm, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = armed(*TABLE), pair.engine()
    chunks = kept(engine)
    with monkeypatch.context() as patch:
        batches = overtaken(patch, other, pair)
        report = engine.verify()
    assert (batches, report.outcome, report.detail) == ([1], Outcome.SUCCEEDED, "")
    assert parts(report) == (0, chunks)
    with monkeypatch.context() as patch:
        batches = overtaken(patch, other, pair)
        status = engine.status()
    assert (batches, status.capture_lost, status.problems) == ([1], False, ())
    with pair.admin(Side.TARGET) as admin:
        admin.execute(
            "SELECT pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())",
            [pair.settings.object_name],
        )
    assert engine.status().capture_lost


def test_table_when_truncated_is_read_whole(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    chunks = kept(engine)
    pair.run(
        Side.TARGET, "TRUNCATE t", "INSERT INTO t SELECT g, 1, '' FROM generate_series(1, 9) g"
    )
    carried(engine)
    report = engine.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert report.tables[0].source_rows == 9
    assert report.chunks_verified >= 1
    assert chunks > 1


def test_change_when_no_batch_has_applied_it_is_found(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    chunks = kept(engine)
    pair.run(Side.TARGET, "UPDATE t SET v = v + 1 WHERE id = 4711")
    verification = engine._proving.verification(None, cold=False, examples=10)
    verification.recheck_seconds = 0.0
    report = verification.run()
    assert report.outcome is Outcome.FAILED
    assert report.tables[0].keys == ("different id=4711",)
    assert parts(report) == (1, chunks - 1)


@pytest.mark.parametrize("when", ["before the pass", "after the pass"])
def test_row_when_changed_on_the_source_behind_our_back_is_found(
    armed: Arm, pair: Pair, when: str
) -> None:
    engine = armed(*TABLE)
    chunks = kept(engine)
    quietly(pair, Side.SOURCE, "UPDATE t SET v = -1 WHERE id = 4711")
    if when == "after the pass":
        assert engine.verify_some(60.0).differing == 1
    for side in Side:
        engine.raise_fence(side, 1.0)
    report = engine.verify()
    assert report.exact
    assert report.outcome is Outcome.FAILED
    assert report.tables[0].keys == ("different id=4711",)
    assert parts(report) == (1, chunks - 1)


def test_row_when_changed_on_the_target_past_its_triggers_is_carried_over(
    armed: Arm, pair: Pair
) -> None:
    engine = armed(*TABLE)
    kept(engine)
    quietly(pair, Side.TARGET, "UPDATE t SET v = -1 WHERE id = 4711")
    carried(engine)
    assert equal_to_cold(engine).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_table_when_rewritten_by_ddl_is_read_whole(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    kept(engine)
    # No change of a row is told of, and the catalogue's columns stay as they were.
    pair.run(Side.SOURCE, "ALTER TABLE t ALTER v TYPE int USING v + (id = 4711)::int")
    report = engine.verify()
    assert report.outcome is Outcome.FAILED
    assert report.tables[0].keys == ("different id=4711",)
    assert report.chunks_by_ledger == 0


def test_ledger_when_the_sources_slot_was_made_anew_is_not_trusted(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    kept(engine)
    slot = engine.settings.object_name
    with pair.admin(Side.SOURCE) as connection:
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        quietly(pair, Side.SOURCE, "UPDATE t SET v = -1 WHERE id = 4711")
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    report = engine.verify()
    assert report.outcome is Outcome.FAILED
    assert report.tables[0].keys == ("different id=4711",)
    assert report.chunks_by_ledger == 0
    assert "made anew" in report.detail


def test_mark_when_set_while_a_chunk_is_compared_survives(armed: Arm, pair: Pair) -> None:
    """What is recorded has the marks of the snapshot, so that a later batch's stay."""
    engine = armed(*TABLE)
    engine.verify_some(0.0)
    verification = engine._proving.verification(None, cold=False, examples=10)
    looked = []

    def change(sentence: str) -> None:
        if sentence.startswith("Compared") and not looked:
            looked.append(sentence)
            pair.run(Side.TARGET, "UPDATE t SET v = v + 1 WHERE id = 4711")
            carried(engine)

    verification.progress = change
    assert verification.run().outcome is Outcome.SUCCEEDED
    assert looked
    assert engine.verify().chunks_verified == 1


def test_table_when_the_source_cannot_tell_of_its_changes_is_read_every_time(
    armed: Arm, pair: Pair
) -> None:
    engine = armed(*TABLE)
    kept(engine)
    with pair.admin(Side.SOURCE) as connection:
        connection.execute(f"ALTER PUBLICATION {engine.settings.object_name} DROP TABLE t".encode())
    report = engine.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert report.chunks_by_ledger == 0


def test_foreign_key_when_no_table_changed_is_not_checked_again(armed: Arm, pair: Pair) -> None:
    engine = armed(
        *TABLE,
        "CREATE TABLE c (id int PRIMARY KEY, t_id bigint REFERENCES t)",
        "INSERT INTO c SELECT g, g FROM generate_series(1, 100) g",
    )
    kept(engine)
    assert engine.verify().foreign_keys[0].detail == ""
    assert "neither table was changed" in engine.verify().foreign_keys[0].detail
    quietly(pair, Side.TARGET, "DELETE FROM t WHERE id = 7")
    carried(engine)
    (key,) = engine.verify().foreign_keys
    assert (key.violations, key.examples) == (1, ("(7)",))


def test_pass_when_somebody_with_priority_waits_stands_aside(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    engine.verify_some(0.0)
    with psycopg.connect(pair.databases.source_dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock_shared(%s, 2)", [0x6661696C])
        assert engine.verify_some(60.0).verified == 0
    assert engine.verify_some(60.0).verified > 0


def test_pass_when_nothing_is_armed_says_so(pair: Pair) -> None:
    with pytest.raises(NotArmedError):
        pair.engine().verify_some(1.0)
