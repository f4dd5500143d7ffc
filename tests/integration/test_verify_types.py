"""Verification is exact for every type: equal where equal, different by the smallest change."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from failback.lab.databases import OWNER_ROLES, DatabasePair
from failback.models.common import Outcome, Side
from failback.models.sync import VerifyReport
from failback.reverse_sync.catalogue import read_tables
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.row_image import Form
from failback.reverse_sync.verify import verify

pytestmark = pytest.mark.servers

_TYPES = """
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN public.posint AS int CHECK (VALUE > 0);
CREATE DOMAIN public.scores AS float8[];
CREATE TYPE public.pair AS (a numeric, b public.mood, c timestamptz);
CREATE TYPE public.textrange AS RANGE (subtype = text);
"""
# Each type with values that must all be told apart, though many compare equal in SQL.
_VALUES = {
    "bool": ["true", "false", None],
    "int2": ["1", "-1"],
    "int4": ["1", "257"],
    # Postgres's own hash of int8 takes these two for one another.
    "int8": ["5", "4294967300", "-6", None],
    "numeric": ["1", "1.0", "1.00", "-1", "10000", "NaN", "Infinity", "-Infinity", "0"],
    "float4": ["0", "-0", "NaN", "0.1", "0.10000001"],
    "float8": ["0", "-0", "NaN", "0.1", "0.10000000000000002", "Infinity"],
    "float8[]": ["{0}", "{-0}", "{NaN}", "[0:0]={0}", None],
    "text": ["a", "A", "a ", "", "NULL", None, "é", "e\u0301"],
    "varchar(20)": ["a", "a "],
    "char(4)": ["a", "b", "a b"],
    "bpchar": ["a", "a ", "a  ", ""],
    '"char"': ["a", "b", ""],
    "name": ["a", "A"],
    "bytea": [r"\x", r"\x00", r"\x0000", None],
    "uuid": ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"],
    "json": ['{"a":1}', '{"a": 1}', '{"a":1,"a":1}'],
    # Postgres's own hash of jsonb takes the first, second and last number for one another.
    "jsonb": ['{"a": 1}', '{"a": 1.0}', '{"a": "1"}', "null", None, '{"a": -1}'],
    "date": ["2026-01-01", "2026-01-02", "infinity"],
    # The hash of 64 bits takes the last one for the first, as it does with timestamps.
    "time": ["00:00", "24:00", "01:11:34.967297"],
    "timetz": ["12:00+02", "10:00+00"],
    "timestamp": ["2000-01-01", "2000-01-01 01:11:34.967297", "2000-01-01 00:00:00.000001"],
    "timestamptz": ["2000-01-01+00", "2000-01-01 01:11:34.967297+00", "infinity", "-infinity"],
    "interval": ["1 month", "30 days", "720 hours", "1 day -24 hours", "0"],
    "money": ["12.34", "12.35"],
    "bit(4)": ["0000", "0001"],
    "varbit": ["0", "00", ""],
    "inet": ["10.0.0.1", "10.0.0.1/8"],
    "cidr": ["10.0.0.0/8", "10.0.0.0/9"],
    "macaddr": ["08:00:2b:01:02:03", "08:00:2b:01:02:04"],
    "macaddr8": ["08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"],
    "oid": ["1", "4000000000"],
    "xid": ["1", "4000000000"],
    "xid8": ["5", "4294967300"],
    "pg_lsn": ["0/5", "1/4"],
    "tsvector": ["a b", "a:1 b", "a:1A b"],
    "point": ["(0,0)", "(-0,0)"],
    "polygon": ["((0,0),(1,1))", "((1,1),(0,0))"],
    "int4range": ["[1,5)", "[1,6)", "empty", "[1,)"],
    "numrange": ["[1,2)", "[1.0,2)"],
    "tstzrange": ["[2026-01-01,)", "(2026-01-01,)"],
    "int4multirange": ["{[1,3)}", "{[1,3),[5,6)}"],
    "textrange": ["[a,b)", "[a,b]"],
    "int4[]": ["{}", "{1}", "{NULL}", "{{1}}", "[2:2]={1}"],
    "text[]": ["{NULL}", '{"NULL"}', '{""}'],
    "mood": ["sad", "ok", None],
    "mood[]": ["{sad}", "{ok}", "{sad,ok}"],
    "posint": ["1", "2"],
    "posint[]": ["{1}", "{1,1}"],
    "scores": ["{0}", "{-0}"],
    "pair": ["(1,sad,2026-01-01 00:00+00)", "(1.0,sad,2026-01-01 00:00+00)", "(,,)", "(1,,)"],
    "regclass": ["pg_class", "pg_type"],
}


@dataclass
class Tables:
    """A table of one column of a type on both sides, with what a comparison says of it."""

    servers: Servers
    admins: dict[Side, psycopg.Connection]

    def make(self, type_name: str) -> None:
        for side, admin in self.admins.items():
            admin.execute("DROP TABLE IF EXISTS public.t")
            # Columns stand in another order on each side.
            order = ("v {0}, id int PRIMARY KEY", "id int PRIMARY KEY, v {0}")
            columns = order[side is Side.SOURCE].format(type_name)
            admin.execute(f"CREATE TABLE public.t ({columns})")

    def put(self, side: Side, *values: str | None) -> None:
        """Insert the values with the keys 0, 1, …; literals take any type."""
        rows = sql.SQL(", ").join(
            sql.SQL("({}, {})").format(key, value) for key, value in enumerate(values)
        )
        self.admins[side].execute(sql.SQL("INSERT INTO public.t (id, v) VALUES {}").format(rows))

    def verify(self) -> VerifyReport:
        tables = {}
        for side in Side:
            with self.servers.connect(side) as connection:
                tables[side] = read_tables(connection, ["public.*"])
        return verify(
            self.servers,
            tables[Side.SOURCE],
            tables[Side.TARGET],
            recheck_seconds=0,
            examples=1000,
        )


@pytest.fixture
def tables(databases: DatabasePair) -> Iterator[Tables]:
    with ExitStack() as stack:
        admins = {}
        for side in Side:
            dsn = databases.admin_dsn(side)
            admin = admins[side] = stack.enter_context(psycopg.connect(dsn, autocommit=True))
            # Types get other identifiers on each side, so that nothing is equal by chance.
            if side is Side.TARGET:
                admin.execute("CREATE TYPE public.before AS ENUM ('x', 'y')")
            admin.execute(f"ALTER DATABASE {databases.name} SET TimeZone = 'Asia/Kathmandu'")
            admin.execute(f"ALTER DATABASE {databases.name} SET IntervalStyle = 'iso_8601'")
            admin.execute(f"ALTER DATABASE {databases.name} SET extra_float_digits = 0")
            admin.execute(f"SET ROLE {OWNER_ROLES[side]}")
            admin.execute(_TYPES)
        yield Tables(Servers(databases.source_dsn, databases.target_dsn), admins)


@pytest.mark.parametrize("form", list(Form))
def test_values_of_every_type_when_equal_are_equal_and_when_not_are_found(
    tables: Tables, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failback.reverse_sync.prepared.agreed_form", lambda _: form)
    wrong = []
    for type_name, values in _VALUES.items():
        tables.make(type_name)
        # Every value against every value: a row is equal exactly where a value meets itself.
        pairs = list(itertools.product(values, values))
        tables.put(Side.SOURCE, *(ours for ours, _ in pairs))
        tables.put(Side.TARGET, *(theirs for _, theirs in pairs))
        (digest,) = tables.verify().tables
        found = {int(key.removeprefix("different id=")) for key in digest.keys}
        for key, (ours, theirs) in enumerate(pairs):
            if (key in found) != (ours != theirs):
                wrong.append(f"{type_name}: {ours!r} and {theirs!r}")
        assert digest.different == len(found)
    assert wrong == []


def test_not_a_number_when_computed_with_another_sign_is_equal(tables: Tables) -> None:
    tables.make("float8")
    tables.admins[Side.TARGET].execute(
        "INSERT INTO public.t (id, v) VALUES (0, 'inf'::float8 - 'inf'::float8)"
    )
    tables.put(Side.SOURCE, "NaN")
    assert tables.verify().outcome is Outcome.SUCCEEDED


def test_column_when_its_type_is_wider_on_one_side_is_compared_by_text(tables: Tables) -> None:
    tables.make("int8")
    tables.admins[Side.SOURCE].execute("ALTER TABLE public.t ALTER v TYPE int4")
    for side in Side:
        tables.put(side, "5")
    assert tables.verify().outcome is Outcome.SUCCEEDED
    tables.admins[Side.TARGET].execute("UPDATE public.t SET v = 6")
    assert tables.verify().different == 1


def test_rows_when_they_exchange_their_values_are_found(tables: Tables) -> None:
    # The hash of a record is a sum over its fields modulo 2^64: an exchange leaves the sum of sums
    # alone, but for carries that hide it about every other time.
    for turn in range(12):
        tables.make("text")
        one, other = f"a{turn}", f"b{turn}"
        tables.put(Side.SOURCE, one, other, "c")
        tables.put(Side.TARGET, other, one, "c")
        (digest,) = tables.verify().tables
        assert digest.keys == ("different id=0", "different id=1")
