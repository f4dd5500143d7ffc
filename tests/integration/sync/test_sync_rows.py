"""Rows of every kind arrive on the source as they are on the target."""

from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]


def test_batch_when_rows_were_inserted_updated_and_deleted_then_both_sides_are_equal(
    pair: Any, armed: Armed
) -> None:
    engine = armed("CREATE TABLE note (id int PRIMARY KEY, body text, deleted_at timestamptz)")
    with pair.target() as target:
        target.execute("INSERT INTO note SELECT n, 'note ' || n FROM generate_series(1, 50) AS n")
        target.execute("UPDATE note SET body = 'changed' WHERE id % 3 = 0")
        target.execute("UPDATE note SET deleted_at = now() WHERE id % 5 = 0")
        target.execute("DELETE FROM note WHERE id % 7 = 0")
    report = engine.run_batch()
    assert report.caught_up
    assert report.by_table["public.note"] == 50
    assert report.rows == 43
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM note") == [(43,)]


def test_batch_when_a_key_changes_then_the_old_row_is_gone(pair: Any, armed: Armed) -> None:
    engine = armed(
        "CREATE TABLE member (team text, no int, name text, PRIMARY KEY (team, no))",
        "INSERT INTO member SELECT 'red', n, 'm' || n FROM generate_series(1, 9) AS n",
    )
    with pair.target() as target:
        target.execute("UPDATE member SET no = no + 100, team = 'blue' WHERE no <= 4")
    report = engine.run_batch()
    assert report.by_table["public.member"] == 8
    pair.assert_equal()


def test_batch_when_unique_values_are_swapped_then_it_goes_through(pair: Any, armed: Armed) -> None:
    engine = armed(
        "CREATE TABLE seat (id int PRIMARY KEY, place text UNIQUE)",
        "INSERT INTO seat VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )
    with pair.target() as target:
        target.execute("UPDATE seat SET place = 'tmp' WHERE id = 1")
        target.execute("UPDATE seat SET place = 'a' WHERE id = 2")
        target.execute("UPDATE seat SET place = 'b' WHERE id = 1")
    engine.run_batch()
    pair.assert_equal()


def test_batches_when_a_limit_cuts_a_swap_in_two_then_it_goes_through(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE seat (id int PRIMARY KEY, place text UNIQUE)",
        "INSERT INTO seat SELECT n, 'p' || n FROM generate_series(1, 400) AS n",
        batch_changes=100,
    )
    # The first part of the stream tells of row 1, the last part of row 400. Read at the end, row 1
    # has the value that row 400 still has on the source until the last part is applied.
    with pair.target() as target:
        target.autocommit = True
        target.execute("UPDATE seat SET place = 'free' WHERE id = 1")
        for number in range(100, 200):
            target.execute("UPDATE seat SET place = place || '!' WHERE id = %s", [number])
        target.execute("UPDATE seat SET place = 'elsewhere' WHERE id = 400")
        target.execute("UPDATE seat SET place = 'p400' WHERE id = 1")
    report = engine.drain(30)
    assert report.outcome == "succeeded"
    pair.assert_equal()


def test_batch_when_foreign_keys_form_a_cycle_then_order_does_not_matter(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE person (id int PRIMARY KEY, team int)",
        "CREATE TABLE team (id int PRIMARY KEY, lead int REFERENCES person)",
        "ALTER TABLE person ADD FOREIGN KEY (team) REFERENCES team DEFERRABLE",
        "CREATE TABLE aaa_child (id int PRIMARY KEY, person int REFERENCES person"
        " ON DELETE CASCADE)",
    )
    with pair.target() as target:
        target.execute("SET CONSTRAINTS ALL DEFERRED")
        target.execute("INSERT INTO person VALUES (1, 1), (2, 1)")
        target.execute("INSERT INTO team VALUES (1, 2)")
        target.execute("INSERT INTO aaa_child VALUES (10, 1), (11, 2)")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        # The row is deleted and inserted on the source: its children must outlive that.
        target.execute("UPDATE person SET team = NULL")
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM aaa_child") == [(2,)]


def test_batch_when_a_table_was_truncated_then_the_whole_table_is_copied(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE log (id int PRIMARY KEY, line text)",
        "INSERT INTO log SELECT n, 'old' FROM generate_series(1, 30) AS n",
    )
    with pair.target() as target:
        target.execute("INSERT INTO log VALUES (31, 'lost to the truncate')")
        target.execute("TRUNCATE log")
        target.execute("INSERT INTO log VALUES (5, 'new'), (99, 'new')")
    report = engine.run_batch()
    assert report.deleted == 30
    assert report.rows == 2
    pair.assert_equal()


def test_batch_when_columns_are_generated_or_identities_then_values_are_kept(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric,"
        " taxed numeric GENERATED ALWAYS AS (price * 1.2) STORED, serial_no serial)",
    )
    with pair.target() as target:
        target.execute("INSERT INTO item (price) SELECT n FROM generate_series(1, 5) AS n")
        target.execute("DELETE FROM item WHERE price = 2")
        target.execute("INSERT INTO item (price) VALUES (7.5)")
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT id, taxed FROM item WHERE price = 7.5") == [(6, 9)]


def test_batch_when_columns_stand_in_another_order_then_they_are_matched_by_name(
    pair: Any, armed: Armed
) -> None:
    pair.run(Side.SOURCE, "CREATE TABLE place (name text, lat float8, id uuid PRIMARY KEY)")
    pair.run(
        Side.TARGET,
        "CREATE TABLE place (id uuid PRIMARY KEY, gone int, lat float8, name text)",
        "ALTER TABLE place DROP COLUMN gone",
    )
    engine = armed()
    with pair.target() as target:
        target.execute(
            "INSERT INTO place VALUES (gen_random_uuid(), 'NaN', 'north'),"
            " (gen_random_uuid(), '-0', 'south')"
        )
    engine.run_batch()
    pair.assert_equal()


def test_batch_when_names_are_mixed_case_and_odd_then_they_are_quoted(
    pair: Any, armed: Armed
) -> None:
    pair.both('CREATE SCHEMA "My App"')
    engine = armed(
        'CREATE TABLE "My App"."Order ""Line""" ("Id %s" int, "select" text,'
        ' PRIMARY KEY ("Id %s"))',
        include=("My App.*",),
    )
    with pair.target() as target:
        target.execute('INSERT INTO "My App"."Order ""Line""" VALUES (1, \'x\'), (2, \'y\')')
        target.execute('DELETE FROM "My App"."Order ""Line""" WHERE "select" = \'x\'')
    engine.run_batch()
    pair.assert_equal()


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN happy AS mood DEFAULT 'fine';
CREATE TYPE pair AS (a int, b text);
CREATE TABLE everything (
    id int PRIMARY KEY, m mood, ms mood[], h happy, n numeric, n2 numeric(10,2), f float8,
    j json, jb jsonb, b bytea, ts timestamp, tz timestamptz, d date, i interval, u uuid,
    t text, v varchar(10), c char(4), bo boolean, arr int[], ip inet, r tstzrange,
    bits varbit, mr int4multirange{composite}
)
"""
VALUES = """
INSERT INTO everything (id, m, ms, h, n, n2, f, j, jb, b, ts, tz, d, i, u, t, v, c, bo, arr, ip, r,
    bits, mr) VALUES
(1, 'fine', '{sad,NULL,fine}', 'sad', 'NaN', 1.50, 'Infinity', '{"b": 1,  "a": 1}',
 '{"b": 1, "a": 1.00}', '\\x00ff0a', '-infinity', 'infinity', 'infinity',
 '1 mon -3 days 04:05:06.7',
 '3f2c8d0a-0000-4000-8000-000000000001', E'tab\\t nl\\n \\\\ ünïcödé 🙂', 'v', 'c', true,
 '{{1,2},{3,NULL}}', '10.0.0.0/8', '[2020-01-01,infinity)', B'1010011', '{[1,3),[7,9)}'),
(2, NULL, NULL, NULL, NULL, NULL, '-0', NULL, 'null', '', '4713-01-01 BC',
 '2024-02-29 23:59:59.999999+14',
 '0044-03-15 BC', NULL, NULL, '', '', '', NULL, '{}', NULL, 'empty', NULL, '{}'),
(3, 'sad', '{}', 'fine', 'Infinity', -0.01, 1e-308, '[]', '[]', NULL, now(), now(), now(),
 '-178000000 years', NULL, '\\N', NULL, NULL, false, NULL, '::1', '(,)', B'', NULL);
"""


@pytest.mark.parametrize("composite", ["", ", p pair, ps pair[]"], ids=["binary", "text"])
def test_batch_when_types_are_unusual_then_values_arrive_exactly(
    pair: Any, armed: Armed, composite: str
) -> None:
    # A type made before the others gives the enum another oid on the source.
    pair.run(Side.SOURCE, "CREATE TYPE shifted AS ENUM ('x')")
    engine = armed(TYPES.replace("{composite}", composite))
    with pair.target() as target:
        target.execute(VALUES)
        if composite:
            target.execute(
                """UPDATE everything SET p = (1, E'a\\t"b"'), ps = ARRAY[(2, NULL)::pair]"""
            )
    engine.run_batch()
    pair.assert_equal()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ["'a'", "'tab\t\\new'", "''", "'ü'"]),
        ("uuid", ["gen_random_uuid()", "gen_random_uuid()"]),
        ("bytea", ["'\\x00'", "'\\x0a09'", "''"]),
        ("numeric", ["1.0", "'NaN'", "-12345678901234567890.123"]),
        ("timestamptz", ["'infinity'", "'2024-01-01 00:00:00.000001+05'"]),
        ("float8", ["'NaN'", "'-0'", "1e300"]),
        ("date", ["'-infinity'", "'2020-01-01'"]),
        ("mood", ["'sad'", "'fine'"]),
        ("comp", ["'(1,\"a,b\")'", "'(2,)'"]),
        ("int[]", ["'{1,2}'", "'{}'"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_batch_when_the_key_has_a_type_then_rows_are_found_by_it(
    pair: Any, armed: Armed, kind: str, values: list[str]
) -> None:
    engine = armed(
        "CREATE TYPE mood AS ENUM ('sad', 'fine')",
        "CREATE TYPE comp AS (a int, b text)",
        f"CREATE TABLE keyed (k {kind}, no int, v text, PRIMARY KEY (k, no))",
    )
    with pair.target() as target:
        for number, value in enumerate(values):
            target.execute(f"INSERT INTO keyed VALUES ({value}, {number}, 'first')")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("UPDATE keyed SET v = 'second' WHERE no = 0")
        target.execute("UPDATE keyed SET no = 77 WHERE no = 1")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("DELETE FROM keyed WHERE no <> 0")
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT v FROM keyed") == [("second",)]


def test_batch_when_a_large_value_is_unchanged_then_it_is_kept(pair: Any, armed: Armed) -> None:
    engine = armed("CREATE TABLE big (id int PRIMARY KEY, body text, n int DEFAULT 0)")
    with pair.target() as target:
        target.execute(
            "INSERT INTO big SELECT 1, string_agg(md5(n::text), '')"
            " FROM generate_series(1, 32768) AS n"
        )
    engine.run_batch()
    with pair.target() as target:
        target.execute("UPDATE big SET n = 1")
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT length(body), n FROM big") == [(1 << 20, 1)]


def test_batch_when_a_large_key_is_unchanged_then_the_row_is_found(pair: Any, armed: Armed) -> None:
    engine = armed("CREATE TABLE big (k text PRIMARY KEY, n int, body text)")
    with pair.target() as target:
        target.execute("ALTER TABLE big ALTER COLUMN k SET STORAGE EXTERNAL")
        target.execute("INSERT INTO big VALUES (repeat('k', 2500), 0, repeat('b', 1900))")
    engine.run_batch()
    with pair.target() as target:
        target.execute("UPDATE big SET n = 1")
    engine.run_batch()
    pair.assert_equal()


def test_batch_when_a_table_is_partitioned_then_every_kind_of_change_arrives(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE event (id int, day int, v text, PRIMARY KEY (id, day))"
        " PARTITION BY RANGE (day)",
        "CREATE TABLE event_a PARTITION OF event FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE event_b PARTITION OF event FOR VALUES FROM (10) TO (20)",
        "INSERT INTO event SELECT n, n % 20, 'x' FROM generate_series(1, 100) AS n",
    )
    with pair.target() as target:
        target.execute("UPDATE event SET day = day + 10 WHERE day < 5")  # moves to event_b
        target.execute("UPDATE event SET v = 'y' WHERE id > 90")
        target.execute("DELETE FROM event_b WHERE id = 19")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("TRUNCATE event_a")
    engine.run_batch()
    pair.assert_equal()
    pair.both("CREATE TABLE event_c PARTITION OF event FOR VALUES FROM (20) TO (30)")
    with pair.target() as target:
        target.execute("INSERT INTO event VALUES (1, 25, 'new partition')")
    engine.run_batch()
    pair.assert_equal()


def test_batch_when_a_table_is_replicated_in_full_then_keys_are_enough(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE chat (v text, id int PRIMARY KEY, w text)",
        "ALTER TABLE chat REPLICA IDENTITY FULL",
        "CREATE TABLE quiet (id int PRIMARY KEY, v text)",
        "ALTER TABLE quiet REPLICA IDENTITY NOTHING",
        "CREATE TABLE slug (name text NOT NULL UNIQUE, v int)",
    )
    with pair.target() as target:
        target.execute("INSERT INTO chat VALUES ('a', 1, 'x'), ('b', 2, NULL)")
        target.execute("INSERT INTO quiet VALUES (1, 'a')")
        target.execute("INSERT INTO slug VALUES ('s', 1)")
    engine.run_batch()
    with pair.target() as target:
        target.execute("UPDATE chat SET id = 3 WHERE id = 1")
        target.execute("UPDATE quiet SET v = 'b'")
        target.execute("UPDATE slug SET name = 't'")
        target.execute("DELETE FROM chat WHERE id = 2")
    engine.run_batch()
    pair.assert_equal()
    engine.disarm()
    for side in Side:
        assert pair.rows(
            side,
            "SELECT relname, relreplident FROM pg_class"
            " WHERE relname IN ('chat', 'quiet', 'slug') ORDER BY 1",
        ) == [("chat", "f"), ("quiet", "n"), ("slug", "d")]
