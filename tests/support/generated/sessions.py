"""The product's sessions on the target: each carries out its steps of a generated history.

One thread takes the steps in order. A statement that would have to wait for another session
fails after a moment instead, for that one cannot go on meanwhile: so the same steps always make
the same history.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import psycopg

from support.generated.schemas import Schema, Table
from support.generated.steps import End, Write

_WAIT = "20ms"
_SAVEPOINT = "chosen"


@dataclass
class Session:
    """One session of the product.

    Args:
        dsn: how the product connects.
        prepared: gids of prepared transactions, the oldest first; shared by all sessions.
        held: what prepared transactions that truncated a table are called; shared as well.
    """

    dsn: str
    prepared: list[str]
    held: set[str]
    number: int
    connection: psycopg.Connection[Any] | None = None
    exclusive: bool = False
    """Its transaction truncated a table, so that nobody else can read that."""
    savepoints: int = 0
    made: int = 0

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        if self.connection is None or self.connection.closed:
            return False
        return self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def write(self, schema: Schema, step: Write) -> bool:
        """Carry out a statement; returns whether it changed what others may see one day."""
        table = schema.tables[step.table % len(schema.tables)]
        statements = _statements(table, step)
        if not statements:
            return False
        if not self.is_open and not step.alone:
            self._run("BEGIN")
            self.savepoints = 0
        if not self.is_open:
            return all(self._run(statement) for statement in statements)
        if step.guarded:
            self._run("SAVEPOINT guard")
        for statement in statements:
            if not self._run(statement):
                self._run("ROLLBACK TO guard" if step.guarded else "ROLLBACK")
                if not step.guarded:
                    self.exclusive = False
                return False
        if step.guarded:
            self._run("RELEASE guard")
        self.exclusive |= step.action == "truncate"
        return True

    def end(self, step: End) -> None:
        """End the transaction in some way, or set a savepoint."""
        if not self.is_open:
            return
        if step.action == "savepoint":
            self.savepoints += self._run(f"SAVEPOINT {_SAVEPOINT}")
        elif step.action in {"rollback to", "release"}:
            if self.savepoints:
                verb = step.action.upper() if step.action == "rollback to" else "RELEASE"
                self._run(f"{verb} {_SAVEPOINT}")
                self.savepoints -= step.action == "release"
        elif step.action == "prepare":
            self._prepare()
        else:
            self.finish(commit=step.action == "commit")

    def finish(self, *, commit: bool) -> None:
        """End the transaction, if there is one."""
        if self.is_open:
            self._run("COMMIT" if commit else "ROLLBACK")
        self.exclusive = False

    def finish_prepared(self, *, commit: bool) -> None:
        """End the oldest prepared transaction."""
        gid = self.prepared.pop(0)
        self.held.discard(gid)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"{'COMMIT' if commit else 'ROLLBACK'} PREPARED '{gid}'")

    def close(self) -> None:
        """Give the session back; an open transaction is rolled back."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.exclusive = False

    def _prepare(self) -> None:
        self.made += 1
        gid = f"generated {self.number} {self.made}"
        if self._run(f"PREPARE TRANSACTION '{gid}'"):
            self.prepared.append(gid)
            if self.exclusive:
                self.held.add(gid)
        self.exclusive = False

    def _run(self, statement: str) -> bool:
        """Whether it succeeded; the session is opened anew when the fence has ended it."""
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None)
            self.connection.execute(f"SET lock_timeout = '{_WAIT}'")
        try:
            self.connection.execute(statement)
        except psycopg.Error:
            if self.connection.closed:
                self.close()
            elif not self.is_open:
                self.exclusive = False
            return False
        return True

    def refresh(self) -> None:
        """Notice that somebody has ended the session."""
        if self.connection is not None:
            with contextlib.suppress(psycopg.Error):
                self.connection.execute("SELECT 1")
            if self.connection.closed:
                self.close()


def _statements(table: Table, step: Write) -> list[str]:
    """What a step writes, as SQL."""
    name, key, other = table.name, step.key, step.value
    sets = ", ".join(
        f"{column.name} = {column.literal(step.value + place)}"
        for place, column in enumerate(table.written)
        # Now and then some columns stay as they are, large ones among them.
        if (step.value >> place) & 1 or place == step.value % max(1, len(table.written))
    )
    # All that is not their key changes places: unique values as well.
    aside = key + other + 1
    swap = [
        f"DELETE FROM {name} WHERE {table.key_is(aside)}",
        _move(table, key, aside),
        _move(table, other, key),
        _move(table, aside, other),
    ]
    update = f"UPDATE {name} SET {sets}"
    return {
        "insert": [_insert(table, [(key, other)])],
        "insert some": [_insert(table, [(key + n, other + n) for n in range(4)], skip=True)],
        "update": [f"{update} WHERE {table.key_is(key)}"] if sets else [],
        "update all": [update] if sets else [],
        "move": [_move(table, key, other)],
        "swap": swap,
        "delete": [f"DELETE FROM {name} WHERE {table.key_is(key)}"],
        "delete all": [f"DELETE FROM {name}"],
        "truncate": [f"TRUNCATE {name} CASCADE"],
    }[step.action]


def _move(table: Table, key: int, to: int) -> str:
    moves = ", ".join(
        f"{column.name} = {value}"
        for column, value in zip(table.key, table.key_values(to), strict=True)
    )
    return f"UPDATE {table.name} SET {moves} WHERE {table.key_is(key)}"


def _insert(table: Table, rows: list[tuple[int, int]], *, skip: bool = False) -> str:
    names = ", ".join(column.name for column in (*table.key, *table.written))
    values = ", ".join(
        "({})".format(
            ", ".join(
                (
                    *table.key_values(key),
                    *(column.literal(value + place) for place, column in enumerate(table.written)),
                )
            )
        )
        for key, value in rows
    )
    overriding = " OVERRIDING SYSTEM VALUE" if table.key_form == "always" else ""
    # Which a constraint that is checked later does not go with.
    conflict = " ON CONFLICT DO NOTHING" if skip and "DEFERRABLE" not in table.unique else ""
    return f"INSERT INTO {table.name} ({names}){overriding} VALUES {values}{conflict}"
