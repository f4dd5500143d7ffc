"""What only one side has stops its table, with what to run, and no other table."""

from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.models.sync import TableProblem
from failback.reverse_sync.apply import Carrier, Work
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

TABLES = (
    "CREATE TYPE mood AS ENUM ('sad', 'fine')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN few AS int",
    "CREATE TABLE note (id int PRIMARY KEY, v int, w text, m mood DEFAULT 'sad', p pair, f few)",
    "CREATE TABLE other (id int PRIMARY KEY, v int)",
    "INSERT INTO note SELECT n, n, 'w' FROM generate_series(1, 20) AS n",
)
CHANGE = (
    "UPDATE note SET v = v + 100 WHERE id < 10",
    "DELETE FROM note WHERE id = 20",
    "INSERT INTO other SELECT generate_series(1, 5), 1",
)


def said(problems: tuple[TableProblem, ...], table: str) -> str:
    """What is said of a table, with the cures."""
    return "; ".join(f"{each.problem}. {each.cure}" for each in problems if each.table == table)


@pytest.mark.parametrize(
    ("side", "drift", "problem", "cure", "cured_on", "cured"),
    [
        (
            Side.TARGET,
            "ALTER TABLE note ADD COLUMN x int DEFAULT 7",
            "lacks the column x on the source",
            'ALTER TABLE public.note ADD COLUMN "x" integer',
            Side.SOURCE,
            "ALTER TABLE note ADD COLUMN x int",
        ),
        (
            Side.SOURCE,
            "ALTER TABLE note ADD COLUMN x int DEFAULT 7",
            "has the column x on the source alone",
            "Add the column on the target",
            Side.SOURCE,
            "ALTER TABLE note DROP COLUMN x",
        ),
        (
            Side.TARGET,
            "ALTER TYPE mood ADD VALUE 'wild'",
            "has values of m that public.mood lacks on the source: wild",
            "On the source run ALTER TYPE public.mood ADD VALUE 'wild'",
            Side.SOURCE,
            "ALTER TYPE mood ADD VALUE 'wild'",
        ),
        (
            Side.SOURCE,
            "ALTER TYPE mood ADD VALUE 'wild'",
            "has values of m that public.mood lacks on the target: wild",
            "On the target run ALTER TYPE public.mood ADD VALUE 'wild'",
            Side.TARGET,
            "ALTER TYPE mood ADD VALUE 'wild'",
        ),
        (
            Side.SOURCE,
            "ALTER TABLE note ADD CONSTRAINT small CHECK (v < 50)",
            "has no CHECK ((v < 50)) on the target",
            "ALTER TABLE public.note ADD CHECK ((v < 50))",
            Side.SOURCE,
            "ALTER TABLE note DROP CONSTRAINT small",
        ),
        (
            Side.TARGET,
            "CREATE UNIQUE INDEX ON note (v, w) WHERE v > 0",
            "has no UNIQUE (v, w) WHERE (v > 0) on the source",
            "CREATE UNIQUE INDEX ON public.note (v, w) WHERE (v > 0)",
            Side.SOURCE,
            "CREATE UNIQUE INDEX ON note (w, v) WHERE v > 0",
        ),
        (
            Side.TARGET,
            "ALTER TABLE note ALTER COLUMN v TYPE bigint",
            "has v as integer on the source and as bigint on the target",
            'ALTER COLUMN "v" TYPE bigint',
            Side.SOURCE,
            "ALTER TABLE note ALTER COLUMN v TYPE bigint",
        ),
        (
            Side.TARGET,
            "ALTER TYPE pair ADD ATTRIBUTE c int",
            "has p of a type that is (a integer; b text) on the source",
            "ALTER TYPE",
            Side.SOURCE,
            "ALTER TYPE pair ADD ATTRIBUTE c int",
        ),
        (
            Side.SOURCE,
            "ALTER DOMAIN few ADD CHECK (VALUE < 3)",
            "has f of a type that is (CHECK ((VALUE < 3))) on the source",
            "ALTER DOMAIN",
            Side.TARGET,
            "ALTER DOMAIN few ADD CHECK (VALUE < 3)",
        ),
        (
            Side.SOURCE,
            "ALTER TABLE note ALTER COLUMN w SET NOT NULL",
            "allows NULL in w on the target and not on the source",
            "DROP NOT NULL",
            Side.SOURCE,
            "ALTER TABLE note ALTER COLUMN w DROP NOT NULL",
        ),
        (
            Side.SOURCE,
            "ALTER TABLE note RENAME TO elsewhere",
            "does not exist on the source",
            "Create public.note on the source",
            Side.SOURCE,
            "ALTER TABLE elsewhere RENAME TO note",
        ),
    ],
)
def test_batch_when_one_side_alone_has_something_then_that_table_stops_and_no_other(
    pair: Any,
    armed: Armed,
    side: Side,
    drift: str,
    problem: str,
    cure: str,
    cured_on: Side,
    cured: str,
) -> None:
    engine = armed(*TABLES)
    pair.run(side, drift)
    assert problem in said(engine.status().problems, "public.note")
    pair.run(Side.TARGET, *CHANGE)
    batch = engine.run_batch()
    assert problem in said(batch.stopped, "public.note")
    assert not batch.caught_up
    assert batch.by_table == {"public.other": 5}
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM other") == [(5,)]
    shown = said(engine.status().problems, "public.note")
    assert problem in shown
    assert cure in shown
    drained = engine.drain(5)
    assert drained.outcome is Outcome.INCONCLUSIVE
    assert problem in drained.detail
    pair.run(cured_on, cured)
    # Another process finds what was passed over as well.
    engine.close()
    drained = pair.engine().drain(5)
    assert drained.outcome is Outcome.SUCCEEDED, drained
    pair.assert_equal()
    assert engine.status().problems == ()


def test_batch_when_the_source_refuses_rows_of_a_table_then_the_others_go_on(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(
        Side.SOURCE,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'not on a Sunday'; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION refuse()",
        "ALTER TABLE note ENABLE ALWAYS TRIGGER refuse",
    )
    pair.run(Side.TARGET, *CHANGE)
    batch = engine.run_batch()
    assert "has rows that the source refuses: not on a Sunday" in said(batch.stopped, "public.note")
    assert batch.by_table == {"public.other": 5}
    assert "not on a Sunday" in said(engine.status().problems, "public.note")
    # What comes later is passed over as well, and not forgotten.
    pair.run(Side.TARGET, "INSERT INTO note VALUES (77, 7)", "INSERT INTO other VALUES (77, 7)")
    assert engine.run_batch().by_table == {"public.other": 1}
    assert engine.drain(5).outcome is Outcome.INCONCLUSIVE
    pair.run(Side.SOURCE, "DROP TRIGGER refuse ON note")
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.status().problems == ()


@pytest.mark.parametrize("side", Side)
def test_batch_when_a_table_vanishes_during_it_then_the_others_go_on(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, *CHANGE)
    carry = Carrier.carry

    def drop_first(self: Carrier, work: Work) -> Any:
        if work.pair.qualified == "public.note":
            monkeypatch.undo()
            pair.run(side, "DROP TABLE note")
        return carry(self, work)

    monkeypatch.setattr(Carrier, "carry", drop_first)
    batch = engine.run_batch()
    assert "does not exist on the" in said(batch.stopped, "public.note")
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM other") == [(5,)]
    assert engine.drain(5).outcome is Outcome.INCONCLUSIVE
    if side is Side.TARGET:
        pair.run(Side.SOURCE, "DROP TABLE note")
    else:
        pair.run(Side.SOURCE, *(each for each in TABLES if each.startswith("CREATE TABLE note")))
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_batch_when_a_right_is_taken_away_then_that_table_stops_with_the_grant(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, *CHANGE)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("ALTER TABLE note OWNER TO supabase_auth_admin")
    batch = engine.run_batch()
    assert "GRANT SELECT, INSERT, DELETE ON public.note TO postgres" in said(
        batch.stopped, "public.note"
    )
    assert batch.by_table == {"public.other": 5}
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("ALTER TABLE note OWNER TO postgres")
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_status_when_a_table_is_made_after_arming_then_it_is_shown_at_once(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, "CREATE TABLE newer (id int PRIMARY KEY)", "INSERT INTO newer VALUES (1)")
    shown = said(engine.status().problems, "public.newer")
    assert "does not exist on the source" in shown
    assert "then run `failback arm` again" in shown
    pair.run(Side.SOURCE, "CREATE TABLE newer (id int PRIMARY KEY)")
    shown = said(engine.status().problems, "public.newer")
    assert "is not armed" in shown
    assert "failback arm" in shown
    assert engine.arm().outcome is Outcome.SUCCEEDED
    engine.drain(5)
    pair.assert_equal()
    assert engine.status().problems == ()


def test_arm_when_a_table_is_unfit_then_the_others_are_armed_and_it_is_named(pair: Any) -> None:
    pair.both(*TABLES, "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY)")
    pair.run(Side.TARGET, "CREATE TABLE lonely (id int PRIMARY KEY)")
    engine = pair.engine()
    report = engine.arm()
    assert report.outcome is Outcome.FAILED
    assert report.tables == ("public.note", "public.other")
    assert "is unlogged on the target" in said(report.problems, "public.fast")
    assert "ALTER TABLE public.fast SET LOGGED" in said(report.problems, "public.fast")
    assert "does not exist on the source" in said(report.problems, "public.lonely")
    pair.run(Side.TARGET, *CHANGE)
    assert engine.run_batch().caught_up
    problems = engine.status().problems
    assert {each.table for each in problems} == {"public.fast", "public.lonely"}
    # Excluded, they are nobody's business.
    engine = pair.engine(exclude=("public.fast", "public.lonely"))
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.status().problems == ()


def test_arm_when_an_armed_table_has_drifted_then_its_changes_are_not_forgotten(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, "ALTER TABLE note ADD COLUMN x int DEFAULT 7", *CHANGE)
    report = engine.arm()
    assert report.outcome is Outcome.FAILED
    assert "lacks the column x" in said(report.problems, "public.note")
    pair.run(Side.SOURCE, "ALTER TABLE note ADD COLUMN x int")
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_drain_when_a_table_was_made_anew_then_it_is_not_over_until_it_is_armed_again(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, *CHANGE)
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.run(
        Side.TARGET,
        "DROP TABLE other",
        "CREATE TABLE other (id int PRIMARY KEY, v int)",
        "INSERT INTO other VALUES (1, 1)",
    )
    drained = engine.drain(5)
    assert drained.outcome is Outcome.INCONCLUSIVE
    assert "public.other is not published on the target" in drained.detail
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
