"""Verification against real servers: every seeded difference is found and named, nothing else."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.reverse_sync import fence

from support.compared import ComparedPair

pytestmark = pytest.mark.servers

_DATA = Path(__file__).parents[3] / "shared" / "datasets"


@dataclass(frozen=True)
class BusinessRule:
    name: str
    sql: str


def _seed(pair: ComparedPair, rows: int, seed: int) -> dict[str, set[int]]:
    """200 differences on the source of a table `t`, and the keys by kind."""
    chosen = random.Random(seed).sample(range(1, rows + 1), 134)
    different, missing = set(chosen[:67]), set(chosen[67:])
    extra = set(range(rows + 1, rows + 67))
    for place, key in enumerate(sorted(different)):
        change = ("v = v + 1", "w = w || ' '", "at = at + '1 us'", "w = NULL")[place % 4]
        pair.quietly(Side.SOURCE, f"UPDATE public.t SET {change} WHERE id = {key}")
    pair.quietly(Side.SOURCE, f"DELETE FROM public.t WHERE id IN {tuple(missing)}")
    pair.quietly(
        Side.SOURCE,
        f"INSERT INTO public.t SELECT g, 1, 'x', now() FROM generate_series({rows + 1},"
        f" {rows + 66}) g",
    )
    return {"different": different, "missing": missing, "extra": extra}


_T = (
    "CREATE TABLE public.t (id bigint PRIMARY KEY, v int, w text, at timestamptz);"
    "INSERT INTO public.t SELECT g, g % 7, 'row ' || g, '2026-01-01'::timestamptz + g * '1s'"
    "::interval FROM generate_series(1, {rows}) g; ANALYZE public.t"
)


@pytest.mark.parametrize("chunk_bytes", [2**30, 2**16])
def test_two_hundred_seeded_differences_are_all_found_with_key_and_kind(
    pair: ComparedPair, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failback.reverse_sync.differences.CHUNK_BYTES", chunk_bytes)
    pair.run(_T.format(rows=20_000))
    assert pair.verify().outcome is Outcome.SUCCEEDED
    seeded = _seed(pair, 20_000, seed=chunk_bytes)
    report = pair.verify(examples=1000)
    assert report.outcome is Outcome.FAILED
    (table,) = report.tables
    found: dict[str, set[int]] = {}
    for named in table.keys:
        kind, _, key = named.partition(" id=")
        found.setdefault(kind, set()).add(int(key))
    assert found == seeded
    assert (table.missing, table.extra, table.different) == (67, 66, 67)
    assert (table.source_rows, table.target_rows) == (19_999, 20_000)


def test_examples_when_there_are_many_differences_are_bounded_but_counts_are_exact(
    pair: ComparedPair,
) -> None:
    pair.run(_T.format(rows=5000))
    pair.quietly(Side.SOURCE, "UPDATE public.t SET v = -1 WHERE id <= 3000")
    (table,) = pair.verify().tables
    assert table.different == 3000
    assert len(table.keys) == 100


def test_ranges_of_composite_keys_when_chunked_hold_every_row_once(
    pair: ComparedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failback.reverse_sync.differences.CHUNK_BYTES", 2**15)
    pair.run(
        'CREATE TABLE public.t ("Key A" date, b uuid, c numeric, v int,'
        ' PRIMARY KEY (c, b, "Key A"));'
        "INSERT INTO public.t SELECT '2026-01-01'::date + g % 9, md5(g::text)::uuid, g / 3, g"
        " FROM generate_series(1, 9000) g"
    )
    (table,) = pair.verify().tables
    assert table.equal
    assert table.source_rows == 9000
    pair.quietly(Side.SOURCE, "UPDATE public.t SET v = 0 WHERE v = 4711")
    (table,) = pair.verify().tables
    assert table.different == 1
    assert table.keys[0].startswith("different c=1570, ")
    assert "Key A=2026-01-05" in table.keys[0]


@pytest.mark.parametrize("collations", [("C", "C"), ("C", "C.utf8"), ("C.utf8", "POSIX")])
def test_text_keys_when_the_sides_sort_differently_are_compared_all_the_same(
    pair: ComparedPair, collations: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failback.reverse_sync.differences.CHUNK_BYTES", 2**15)
    for side, collation in zip((Side.SOURCE, Side.TARGET), collations, strict=True):
        pair.run(
            f'CREATE TABLE public.t (k text COLLATE "{collation}" PRIMARY KEY, v int);'
            "INSERT INTO public.t SELECT (ARRAY['é', 'e', 'E', 'Z', '_', ' '])[1 + g % 6] || g, g"
            " FROM generate_series(1, 6000) g",
            side,
        )
    assert pair.verify().outcome is Outcome.SUCCEEDED
    pair.quietly(Side.SOURCE, "DELETE FROM public.t WHERE v IN (6, 4321)")
    (table,) = pair.verify().tables
    assert table.keys == ("missing k=e4321", "missing k=é6")


def test_tables_when_empty_or_without_rows_on_one_side_are_compared(pair: ComparedPair) -> None:
    pair.run("CREATE TABLE public.t (id int PRIMARY KEY); CREATE TABLE public.u (LIKE t)")
    pair.run("ALTER TABLE public.u ADD PRIMARY KEY (id)")
    report = pair.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert [table.target_rows for table in report.tables] == [0, 0]
    pair.run("INSERT INTO public.u VALUES (1), (2)", Side.TARGET)
    assert pair.verify().missing == 2


def test_partitioned_table_when_parted_differently_is_one_table(pair: ComparedPair) -> None:
    pair.run("CREATE TABLE public.t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)")
    pair.run("CREATE TABLE public.a PARTITION OF public.t DEFAULT", Side.SOURCE)
    pair.run("CREATE TABLE public.a PARTITION OF t FOR VALUES FROM (0) TO (50)", Side.TARGET)
    pair.run("CREATE TABLE public.b PARTITION OF t FOR VALUES FROM (50) TO (500)", Side.TARGET)
    pair.run("INSERT INTO public.t SELECT g, g FROM generate_series(1, 100) g")
    (table,) = pair.verify().tables
    assert table.equal
    assert table.source_rows == 100


def test_table_and_column_when_missing_on_the_source_are_named_with_what_to_run(
    pair: ComparedPair,
) -> None:
    pair.run("CREATE TABLE public.t (id int PRIMARY KEY)")
    pair.run('ALTER TABLE public.t ADD "New One" numeric(4,1)', Side.TARGET)
    pair.run("CREATE TABLE public.late (id int PRIMARY KEY)", Side.TARGET)
    report = pair.verify()
    assert report.outcome is Outcome.FAILED
    problems = {problem.table: problem for problem in report.problems}
    assert set(problems) == {"public.t", "public.late"}
    assert problems["public.t"].cure == (
        'ALTER TABLE "public"."t" ADD COLUMN "New One" numeric(4,1);'
    )


def test_foreign_keys_when_violated_are_counted_by_their_own_rules(pair: ComparedPair) -> None:
    pair.run(
        "CREATE TABLE public.p (a int, b text, PRIMARY KEY (a, b));"
        "CREATE TABLE public.c (id int PRIMARY KEY, a int, b text,"
        " CONSTRAINT simple FOREIGN KEY (a, b) REFERENCES p);"
        "CREATE TABLE public.f (id int PRIMARY KEY, a int, b text,"
        ' CONSTRAINT "Full" FOREIGN KEY (a, b) REFERENCES p MATCH FULL);'
        "CREATE TABLE public.n (id int PRIMARY KEY, a int, b text);"
        "ALTER TABLE public.n ADD CONSTRAINT later FOREIGN KEY (a, b) REFERENCES p NOT VALID;"
        "INSERT INTO public.p VALUES (1, 'x')"
    )
    rows = "(1, 1, 'x'), (2, 1, 'y'), (3, NULL, 'y'), (4, 1, NULL), (5, NULL, NULL)"
    for side in Side:
        for table in "cfn":
            pair.quietly(side, f"INSERT INTO public.{table} VALUES {rows}")
    report = pair.verify()
    found = {result.name: result for result in report.foreign_keys}
    assert found["public.c.simple"].violations == 1
    assert found["public.c.simple"].examples == ("(1,y)",)
    assert found["public.f.Full"].violations == 3
    assert found["public.n.later"].violations == 0
    assert "NOT VALID" in found["public.n.later"].detail
    assert report.outcome is Outcome.FAILED
    assert pair.verify(foreign_keys=False).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("rule", "violations", "says"),
    [
        ("SELECT id FROM t WHERE v < 0", 0, ""),
        ("SELECT id, '100%' FROM t WHERE v = 3 -- comment", 2, ""),
        ("WITH x AS (SELECT 1 AS a, 2 AS a) SELECT * FROM x", 1, ""),
        ("SELECT {} FROM t", 1, "syntax error"),
        ("SELECT missing FROM t", 1, "missing"),
        ("SELECT 1/0", 1, "division by zero"),
        ("SELECT pg_sleep(60)", 1, "did not end"),
        ("SELECT setval('s', 5)", 1, "read-only"),
        ("SELECT 1) AS x; DELETE FROM t; SELECT (SELECT 1", 1, "cannot insert multiple commands"),
    ],
)
def test_business_rule_when_checked_counts_rows_or_names_what_is_wrong_with_it(
    pair: ComparedPair, rule: str, violations: int, says: str
) -> None:
    pair.run(_T.format(rows=14) + "; CREATE SEQUENCE public.s")
    rules = [BusinessRule("r", rule), BusinessRule("all is well", "SELECT 1 WHERE false")]
    report = pair.verify(rules=rules, rule_timeout_seconds=0.5)
    broken, well = report.rules
    assert (broken.name, broken.violations) == ("r", violations)
    assert says in broken.detail
    assert (well.violations, well.detail) == (0, "")
    assert report.outcome is (Outcome.FAILED if violations else Outcome.SUCCEEDED)
    assert report.tables[0].equal


def test_report_is_exact_only_while_both_sides_are_fenced(pair: ComparedPair) -> None:
    pair.run(_T.format(rows=10))
    for side in Side:
        with pair.servers.connect(side, autocommit=True) as connection:
            fence.install(connection, pair.tables(side), always=side is Side.TARGET)
    exact = []
    for side in (None, Side.SOURCE, Side.TARGET):
        if side is not None:
            fence.raise_(pair.servers, side)
        exact.append(pair.verify().exact)
    assert exact == [False, False, True]


def test_row_that_arrives_while_looked_at_again_is_no_difference(pair: ComparedPair) -> None:
    pair.run(_T.format(rows=1000))
    change = "UPDATE public.t SET v = -1 WHERE id < 4; DELETE FROM public.t WHERE id = 9"
    pair.run(f"{change}; INSERT INTO public.t VALUES (2000, 1, 'new', now())", Side.TARGET)
    with psycopg.connect(pair.databases.target_admin_dsn) as admin:
        row = admin.execute("SELECT at FROM public.t WHERE id = 2000").fetchone()
    seen = threading.Event()

    def look(sentence: str) -> None:
        if "again" in sentence:
            seen.set()

    def arrive() -> None:
        assert seen.wait(30)
        pair.run(f"{change}; INSERT INTO public.t VALUES (2000, 1, 'new', '{row[0]}')", Side.SOURCE)

    arrival = threading.Thread(target=arrive)
    arrival.start()
    report = pair.verify(progress=look, recheck_seconds=30.0)
    arrival.join(30)
    assert report.outcome is Outcome.SUCCEEDED
    assert "5 rows were in flight" in report.detail
    (table,) = report.tables
    assert table.equal
    assert (table.source_rows, table.missing, table.different) == (996, 0, 0)


def test_row_that_still_differs_when_looked_at_again_is_a_difference(pair: ComparedPair) -> None:
    pair.run(_T.format(rows=1000))
    pair.quietly(Side.SOURCE, "UPDATE public.t SET v = -1 WHERE id = 7")
    report = pair.verify(recheck_seconds=0.5)
    assert report.outcome is Outcome.FAILED
    assert report.tables[0].keys == ("different id=7",)


def test_progress_when_it_raises_stops_the_work_and_leaves_the_sessions_usable(
    pair: ComparedPair,
) -> None:
    pair.run(_T.format(rows=1000))

    class StopError(Exception):
        pass

    def stop(_: str) -> None:
        raise StopError

    with pytest.raises(StopError):
        pair.verify(progress=stop, rules=[BusinessRule("slow", "SELECT pg_sleep(60)")])
    assert pair.verify().outcome is Outcome.SUCCEEDED


def test_sessions_when_the_server_restarted_are_opened_again(pair: ComparedPair) -> None:
    pair.run(_T.format(rows=10))
    pair.verify()
    target = pair.databases.servers.target
    target.stop(immediate=True)
    with pytest.raises(UnreachableError):
        pair.sessions.leader(Side.TARGET)
    target.start()
    assert pair.verify().outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("chinook", "UPDATE track SET unit_price = unit_price + 0.01 WHERE track_id = 17"),
        ("netflix", "UPDATE netflix_shows SET title = title || chr(8203) WHERE show_id = 's17'"),
    ],
)
def test_data_set_when_loaded_on_both_sides_is_equal_until_one_value_changes(
    pair: ComparedPair, name: str, change: str
) -> None:
    path = _DATA / f"{name}.sql"
    if not path.is_file():
        pytest.skip(f"the data set {path} is not here")
    for side in Side:
        pair.load(side, path)
    report = pair.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert sum(table.target_rows for table in report.tables) > 8000
    pair.quietly(Side.SOURCE, f"SET search_path = public; {change}")
    report = pair.verify()
    assert (report.missing, report.extra, report.different) == (0, 0, 1)


@pytest.mark.slow
def test_three_hundred_thousand_rows_are_compared_and_the_time_is_reported(
    pair: ComparedPair, record_property: Callable[[str, object], None]
) -> None:
    pair.run(_T.format(rows=300_000))
    started = time.monotonic()
    report = pair.verify()
    record_property("seconds", time.monotonic() - started)
    assert report.outcome is Outcome.SUCCEEDED
    assert report.tables[0].target_rows == 300_000
