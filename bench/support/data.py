"""Generated data and changes: eight tables with keys of many kinds, seeded, alike everywhere.

Changes when the shape of the data or the mix of the changes does. Row number n of a table in
its version v is computed by the server, so that no figure measures how fast Python makes data.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypeVar

import psycopg
from psycopg import sql

Session = psycopg.Connection[Any]
Item = TypeVar("Item")

ROWS_PER_TRANSACTION = 100
_PERMILLE_OF_UPDATES_SWAP = 50


@dataclass(frozen=True)
class TableShape:
    """One generated table."""

    name: str
    rows: int
    """At scale 1."""
    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Those that are written; generated ones are left out."""
    fixed: tuple[str, ...] = ()
    """Further columns that an update leaves alone."""

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name, quoted."""
        return sql.Identifier("public", self.name)

    @property
    def changed(self) -> tuple[str, ...]:
        """Columns that an update writes."""
        return tuple(name for name in self.columns if name not in (*self.key, *self.fixed))


def _shape(name: str, rows: int, key: str, columns: str, fixed: str = "") -> TableShape:
    keys = tuple(key.split())
    return TableShape(name, rows, keys, (*keys, *columns.split()), tuple(fixed.split()))


SHAPES = (
    _shape(
        "accounts",
        100_000,
        "id",
        "email name plan settings credit created_at updated_at",
        "email created_at",
    ),
    _shape("orders", 250_000, "id", "account status total note placed_at updated_at", "placed_at"),
    _shape("order_lines", 300_000, "order_id line", "sku quantity price updated_at"),
    _shape("documents", 60_000, "id", "title body tags updated_at"),
    _shape("events", 200_000, "id", "payload address took updated_at"),
    _shape("sessions", 50_000, "token", "account agent expires_at updated_at"),
    _shape("ledger", 30_000, "id", "amount period code receipt updated_at"),
    _shape("memberships", 10_000, "workspace account", "role weight updated_at"),
)
"""A million rows at scale 1."""


@dataclass
class TableChanges:
    """The row numbers of one table that a round changes."""

    shape: TableShape
    updated: list[int] = field(default_factory=list)
    inserted: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    swapped: list[tuple[int, int]] = field(default_factory=list)
    """Pairs, among the updated, that exchange their unique value as well."""

    @property
    def numbers(self) -> list[int]:
        """Every changed row number."""
        return [*self.updated, *self.inserted, *self.deleted]


@dataclass
class Population:
    """Which row numbers of each table are there; picks those that a round changes."""

    scale: float
    seed: int = 20_260_101
    alive: dict[str, list[int]] = field(default_factory=dict)
    next_number: dict[str, int] = field(default_factory=dict)
    rounds: int = 0

    def __post_init__(self) -> None:
        for shape in SHAPES:
            rows = max(40, round(shape.rows * self.scale))
            self.alive[shape.name] = list(range(1, rows + 1))
            self.next_number[shape.name] = rows + 1

    @property
    def rows(self) -> int:
        """Rows over all tables."""
        return sum(map(len, self.alive.values()))

    def pick(self, keys: int) -> list[TableChanges]:
        """So many keys, 60 % to be updated, 25 % inserted, 15 % deleted, by the tables' sizes."""
        self.rounds += 1
        chance = random.Random(self.seed + self.rounds)
        total = self.rows
        picked = []
        for shape in SHAPES:
            alive = self.alive[shape.name]
            share = keys * len(alive) / total
            updates, inserts, deletes = (round(share * part) for part in (0.60, 0.25, 0.15))
            chance.shuffle(alive)
            first = self.next_number[shape.name]
            changes = TableChanges(
                shape,
                updated=alive[deletes : deletes + updates],
                inserted=list(range(first, first + inserts)),
                deleted=alive[:deletes],
            )
            if shape.name == "accounts":
                pairs = len(changes.updated) * _PERMILLE_OF_UPDATES_SWAP // 1000
                numbers = changes.updated[: 2 * pairs]
                changes.swapped = list(zip(numbers[::2], numbers[1::2], strict=True))
            del alive[:deletes]
            alive.extend(changes.inserted)
            self.next_number[shape.name] = first + inserts
            picked.append(changes)
        return picked


def create(connection: Session) -> None:
    """Make the tables and the functions that compute their rows."""
    for name in ("schema", "rows"):
        connection.execute(script(name))


def load(connection: Session, population: Population) -> None:
    """Fill new tables with every row in version 0."""
    for shape in SHAPES:
        connection.execute(
            sql.SQL(
                "INSERT INTO {} ({}) SELECT made.* FROM generate_series(1, {}) AS n,"
                " LATERAL {}(n, 0, '2026-01-01+00') AS made"
            ).format(
                shape.identifier,
                names(shape.columns),
                sql.Literal(len(population.alive[shape.name])),
                maker(shape),
            )
        )
    connection.execute("SELECT setval(pg_get_serial_sequence('public.orders', 'id'), 2000000)")
    for shape in SHAPES:
        connection.execute(sql.SQL("ANALYZE {}").format(shape.identifier))


def change(
    connection: Session, picked: Sequence[TableChanges], version: int, per_key: int = 1
) -> int:
    """Make the changes, 100 rows a transaction, each key `per_key` times; returns how many.

    Args:
        connection: a session in autocommit mode of a role that may write.
        picked: what to change.
        version: the rows' new version; further changes of the same key count on from it.
        per_key: changes of each key.
    """
    # A hundred rows at a time are looked up by key, whatever the planner thinks of functions.
    connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")
    made = 0
    for turn in range(per_key):
        first, last = turn == 0, turn == per_key - 1
        for changes in picked:
            shape, at = changes.shape, version + turn
            updated = list(changes.updated)
            if first:
                made += _insert(connection, shape, changes.inserted, at)
            else:
                updated += changes.inserted
            if last:
                made += _delete(connection, shape, changes.deleted)
            else:
                updated += changes.deleted
            made += _update(connection, shape, updated, at)
            if last:
                made += _swap(connection, changes.swapped)
    return made


def _insert(connection: Session, shape: TableShape, numbers: list[int], version: int) -> int:
    query = sql.SQL(
        "INSERT INTO {} ({}) SELECT made.* FROM unnest(%s::bigint[]) AS n,"
        " LATERAL {}(n, %s, clock_timestamp()) AS made"
    ).format(shape.identifier, names(shape.columns), maker(shape))
    return _each(connection, query, numbers, version)


def _update(connection: Session, shape: TableShape, numbers: list[int], version: int) -> int:
    query = sql.SQL(
        "UPDATE {} AS t SET ({}) = ({}) FROM unnest(%s::bigint[]) AS n,"
        " LATERAL {}(n, %s, clock_timestamp()) AS made WHERE {}"
    ).format(
        shape.identifier,
        names(shape.changed),
        names(shape.changed, "made"),
        maker(shape),
        same_key(shape),
    )
    return _each(connection, query, numbers, version)


def _delete(connection: Session, shape: TableShape, numbers: list[int]) -> int:
    query = sql.SQL(
        "DELETE FROM {} AS t USING unnest(%s::bigint[]) AS n, LATERAL {}(n, %s, now()) AS made"
        " WHERE {}"
    ).format(shape.identifier, maker(shape), same_key(shape))
    return _each(connection, query, numbers, 0)


def _each(connection: Session, query: sql.Composed, numbers: list[int], version: int) -> int:
    made = 0
    for block in blocks(numbers, ROWS_PER_TRANSACTION):
        made += connection.execute(query, [block, version]).rowcount
    if made != len(numbers):
        raise RuntimeError(f"{len(numbers)} rows were to be changed, {made} were.")
    return made


def _swap(connection: Session, pairs: list[tuple[int, int]]) -> int:
    """Exchange the unique values of pairs of accounts, in transactions of their own."""
    made = 0
    for block in blocks(pairs, ROWS_PER_TRANSACTION // 2):
        ones, others = [a for a, _ in block], [b for _, b in block]
        with connection.transaction():
            rows = connection.execute(script("emails_read"), {"numbers": [*ones, *others]})
            emails: dict[int, str] = dict(rows.fetchall())
            # Aside first: both at once would stop at the unique index.
            for numbers, values in (
                (ones, [f"moving {emails[one]}" for one in ones]),
                (others, [emails[one] for one in ones]),
                (ones, [emails[other] for other in others]),
            ):
                parameters = {"numbers": numbers, "emails": values}
                made += connection.execute(script("emails_set"), parameters).rowcount
    return made


def blocks(values: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """A sequence in pieces."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


def maker(shape: TableShape) -> sql.Identifier:
    """The function that computes a table's rows."""
    return sql.Identifier("bench", shape.name)


def names(columns: Sequence[str], of: str = "") -> sql.Composed:
    """Quoted column names with commas."""
    prefix = (of,) if of else ()
    return sql.SQL(", ").join(sql.Identifier(*prefix, column) for column in columns)


def same_key(shape: TableShape, left: str = "t", right: str = "made") -> sql.Composed:
    """The condition that two rows have the same key."""
    return sql.SQL("({}) = ({})").format(names(shape.key, left), names(shape.key, right))


def script(name: str) -> sql.SQL:
    """One of the SQL files beside this module."""
    text = files("bench.support").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sql.SQL(text)
