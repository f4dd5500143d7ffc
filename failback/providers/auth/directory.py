"""What the two databases say about users and sessions, where HTTP would take an age."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg

from failback.errors import SchemaDriftError
from failback.models.common import Side
from failback.providers.auth.statements import statement
from failback.reverse_sync.connections import Connection, Servers

_FETCH = 5_000
_PATIENCE = "SET statement_timeout = '60s'"
"""Nobody waits longer for an answer."""
_MOST_KEPT = 10_000
"""So many users are looked at again; of more it is only known that there are."""


@dataclass(frozen=True)
class UserDifferences:
    """Users that are not the same on both sides, by id, sorted."""

    email_clashes: tuple[str, ...] = ()
    """Of the target: another user has this address on the source."""
    changed: tuple[str, ...] = ()
    """There on both sides, with another address or password."""

    def __bool__(self) -> bool:
        return bool(self.email_clashes or self.changed)

    def lasting(self, later: "UserDifferences") -> "UserDifferences":
        """What a later look has found as well."""
        return UserDifferences(
            tuple(sorted(set(self.email_clashes) & set(later.email_clashes))),
            tuple(sorted(set(self.changed) & set(later.changed))),
        )


class Directory(Protocol):
    """Counts and compares on the databases. Each raises what `Servers.connect` raises."""

    async def sessions(self) -> int:
        """How many sessions the target has that are not over."""
        ...

    async def differences(self) -> UserDifferences:
        """Compare the users of both sides."""
        ...


class DatabaseDirectory:
    """Implements `Directory` on both sides' `auth` schema.

    Memory is bounded: both sides come in the same order and are merged.

    Args:
        servers: how failback's own roles reach the databases.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def sessions(self) -> int:
        """See `Directory.sessions`."""
        return await asyncio.to_thread(self._sessions)

    async def differences(self) -> UserDifferences:
        """See `Directory.differences`."""
        return await asyncio.to_thread(self._differences)

    def _sessions(self) -> int:
        with self._open(Side.TARGET) as target:
            row = target.execute(statement("count_sessions")).fetchone()
        return int(row[0]) if row is not None else 0

    def _differences(self) -> UserDifferences:
        with ExitStack() as stack:
            source = stack.enter_context(self._open(Side.SOURCE))
            target = stack.enter_context(self._open(Side.TARGET))
            changed = (
                theirs[0]
                for theirs, ours in _merged(
                    _rows(target, "users_by_id"), _rows(source, "users_by_id")
                )
                if theirs[1:] != ours[1:]
            )
            found = sorted(_first(changed))
            clashes = (
                theirs[1]
                for theirs, ours in _merged(
                    _rows(target, "users_by_email"), _rows(source, "users_by_email")
                )
                if theirs[1] != ours[1]
            )
            return UserDifferences(tuple(sorted(_first(clashes))), tuple(found))

    @contextmanager
    def _open(self, side: Side) -> Iterator[Connection]:
        with self._servers.explaining(side), self._servers.connect(side) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute(_PATIENCE)
            try:
                yield connection
            except (
                psycopg.errors.UndefinedTable,
                psycopg.errors.UndefinedColumn,
                psycopg.errors.InvalidSchemaName,
            ) as error:
                raise SchemaDriftError(
                    f"The {side.value}'s `auth` schema is not what GoTrue's is:"
                    f" {str(error).partition(chr(10))[0]}.",
                    "Leave the section `auth` out where the product's auth is another server.",
                ) from error


def _rows(connection: Connection, name: str) -> Iterator[tuple[str, ...]]:
    with connection.cursor(f"failback_{name}") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(statement(name))
        yield from cursor


def _merged(
    first: Iterator[tuple[str, ...]], second: Iterator[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Pairs of rows that begin with the same value; both come sorted by it, each value once."""
    one, other = next(first, None), next(second, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one, other
        step_one, step_other = one[0] <= other[0], other[0] <= one[0]
        if step_one:
            one = next(first, None)
        if step_other:
            other = next(second, None)


def _first(found: Iterator[str]) -> set[str]:
    return {name for name, _ in zip(found, range(_MOST_KEPT), strict=False)}
