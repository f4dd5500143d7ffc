"""A real schema with foreign keys under thousands of random changes."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

CHINOOK = Path(__file__).parents[4] / "shared" / "datasets" / "chinook.sql"

Armed = Callable[..., ReverseSync]


def load(pair: Any) -> None:
    """The data set on both sides, owned by the roles that own the product's tables."""
    script = CHINOOK.read_text(encoding="utf-8")
    for side in Side:
        with psycopg.connect(pair.databases.dsn(side), autocommit=True) as connection:
            if side is Side.TARGET:
                connection.execute("SET ROLE app_owner")
            connection.execute(script)


def columns(connection: Any, table: str) -> dict[str, str]:
    """Columns that may be changed at random, with their types."""
    rows = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND column_name NOT LIKE '%%\\_id'",
        [table],
    )
    return dict(rows.fetchall())


@pytest.mark.skipif(not CHINOOK.exists(), reason=f"{CHINOOK.name} is not beside the checkout")
def test_batches_when_chinook_is_changed_at_random_then_both_sides_are_equal(pair: Any) -> None:
    load(pair)
    engine = pair.engine(batch_changes=1000)
    assert engine.arm().outcome is Outcome.SUCCEEDED
    choose = random.Random(20)
    done = {"insert": 0, "update": 0, "delete": 0}
    with pair.admin(Side.TARGET) as target:
        target.execute("SET session_replication_role = replica")  # any row may go
        tables = sorted(name for schema, name in pair.tables(Side.TARGET) if schema == "public")
        keys = {table: key_of(target, table) for table in tables}
        changeable = {table: columns(target, table) for table in tables}
        for number in range(5000):
            table = choose.choice(tables)
            kind = choose.choice(list(done))
            done[kind] += change(target, choose, table, kind, keys[table], changeable[table])
            if number % 500 == 499:
                engine.run_batch()
    assert min(done.values()) > 500
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    report = engine.verify()
    assert len(report.tables) == len(tables)
    assert (report.missing, report.extra, report.different) == (0, 0, 0)


def key_of(connection: Any, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY (i.indkey) WHERE i.indisprimary AND i.indrelid = %s::regclass",
        [table],
    )
    return [name for (name,) in rows.fetchall()]


def change(
    connection: Any,
    choose: random.Random,
    table: str,
    kind: str,
    key: list[str],
    others: dict[str, str],
) -> int:
    """Insert, update or delete one random row; returns how many rows it took."""
    name = sql.Identifier(table)
    picked = sql.SQL("ctid = (SELECT ctid FROM {} OFFSET {} LIMIT 1)").format(
        name, sql.Literal(choose.randrange(200))
    )
    if kind == "delete":
        return int(
            connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(name, picked)).rowcount
        )
    if kind == "insert":
        shift = sql.SQL(", ").join(
            sql.SQL("{} + {}").format(sql.Identifier(column), sql.Literal(100_000))
            for column in key
        )
        rest = [column for column in all_columns(connection, table) if column not in key]
        listed = sql.SQL(", ").join(map(sql.Identifier, [*key, *rest]))
        values = sql.SQL(", ").join([shift, *map(sql.Identifier, rest)])
        query = sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} ON CONFLICT DO NOTHING"
        ).format(name, listed, values, name, picked)
        return int(connection.execute(query).rowcount)
    column, value = random_value(choose, key, others)
    query = sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(
        name, sql.Identifier(column), value, picked
    )
    try:
        return int(connection.execute(query).rowcount)
    except psycopg.errors.UniqueViolation:
        return 0


def random_value(
    choose: random.Random, key: list[str], others: dict[str, str]
) -> tuple[str, sql.Composable]:
    """A column and an expression for it; now and then a key moves."""
    if not others or choose.random() < 0.2:
        column = choose.choice(key)
        return column, sql.SQL("{} + {}").format(
            sql.Identifier(column), sql.Literal(choose.randrange(1, 1000) * 1_000_000)
        )
    column, kind = choose.choice(sorted(others.items()))
    if kind.startswith("character"):
        return column, sql.Literal(choose.choice(["é", "x' \\", "tab\t", "nl\n", ""]))
    if kind == "numeric":
        return column, sql.Literal(round(choose.uniform(0, 99), 2))
    if kind.startswith("timestamp"):
        return column, sql.SQL("now() - {} * interval '1 s'").format(
            sql.Literal(choose.randrange(10**8))
        )
    return column, sql.Literal(choose.randrange(10_000))


def all_columns(connection: Any, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        [table],
    )
    return [name for (name,) in rows.fetchall()]
