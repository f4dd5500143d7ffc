"""Puts one row in the place of another, if that one is still what somebody was shown.

Changes when a row has to fit in another way. The caller's transaction runs under the replica role:
foreign keys and unique constraints that are checked later are looked at by hand.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from failback.reverse_sync.apply import names, rows_of
from failback.reverse_sync.catalogue import Table, read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.images import Image, copy_lines, image
from failback.reverse_sync.matching import key_condition
from failback.reverse_sync.statements import statement


class RefusedError(Exception):
    """The row stays as it is.

    Args:
        cause: why, as part of a sentence.
        cure: what to do about it.
    """

    def __init__(self, cause: str, cure: str = "") -> None:
        self.cause = cause
        self.cure = cure
        super().__init__(f"{cause}. {cure}".strip())


class ChangedSinceError(RefusedError):
    """The row is not the one that was shown any more.

    Args:
        now: what it is; None where it is gone.
    """

    def __init__(self, now: Image | None) -> None:
        self.now = now
        super().__init__(
            "the row has changed since it was shown",
            "Look at both versions again, then decide again",
        )


def replace_row(
    session: Connection,
    table: str,
    *,
    key: Image | None,
    shown: Image | None,
    wanted: Image | None,
) -> None:
    """Make the row with this key the wanted one, in the transaction that is open.

    Args:
        session: under the replica role.
        table: `schema.table`.
        key: the key's values by column.
        shown: the row as somebody saw it; None for no row.
        wanted: the row as it shall be; None for no row.

    Raises:
        ChangedSinceError: the row is not the one that was shown.
        RefusedError: the wanted row does not fit.
    """
    found = read_named(session, [table]).get(table)
    if found is None:
        raise RefusedError(f"{table} is gone", "Keep the other version")
    if not key or any(value is None for value in key.values()):
        raise RefusedError(f"{table} has no key by which the row is found", "Change it by hand")
    columns = [column.name for column in found.columns if not column.generated]
    for version in (shown, wanted):
        if version is not None and set(version) != set(columns):
            raise RefusedError(
                f"the columns of {table} have changed since the row was parked",
                "Change the row by hand, then keep the other version",
            )
    _Row(session, found, columns, key).replace(shown, wanted)


class _Row:
    """One row of a table, found by its key."""

    def __init__(
        self, session: Connection, table: Table, columns: Sequence[str], key: Image
    ) -> None:
        self._session = session
        self._table = table
        self._columns = columns
        self._key = key

    def replace(self, shown: Image | None, wanted: Image | None) -> None:
        """See `replace_row`."""
        deferrable = self._stage(wanted)
        if deferrable:
            # Nobody else checks such a constraint under the replica role.
            self._run("conflict_lock_table")
        now = self._look()
        if now != shown:
            raise ChangedSinceError(now)
        self._run("settle_remember")
        try:
            self._put(shown, wanted)
        except psycopg.errors.IntegrityError as error:
            raise RefusedError(
                f"the row does not fit: {_words(error)}",
                "Change what stands in its way, or keep the other version",
            ) from error
        for unique in deferrable if wanted is not None else ():
            same = key_condition(self._table, unique, "t", "s")
            if self._run("settle_duplicate", same_value=same).fetchone() is not None:
                raise RefusedError(
                    f"another row has its {', '.join(unique)}",
                    "Change that row, or keep the other version",
                )
        if self._look() != wanted:
            raise RefusedError(
                "the row would not be exactly the one that was parked",
                "Look for a trigger that is enabled for replicas, or change the row by hand",
            )
        self._check_foreign_keys()

    def _stage(self, wanted: Image | None) -> list[list[str]]:
        """Bring key and row to the session; returns unique constraints that are checked late."""
        self._run("settle_tables")
        self._copy_in("failback_settle_key", list(self._key), self._key)
        if wanted is not None:
            self._copy_in("failback_settle_row", self._columns, wanted)
        oid = sql.Literal(self._table.oid)
        return [row[0] for row in self._run("conflict_deferrable", oid=oid).fetchall()]

    def _look(self) -> Image | None:
        row = self._run("settle_look").fetchone()
        return None if row is None else row[0]

    def _put(self, shown: Image | None, wanted: Image | None) -> None:
        if wanted is None:
            self._run("settle_delete")
            return
        rest = [name for name in self._columns if name not in self._key]
        if shown is None:
            self._run("settle_insert")
        elif any(self._table.column(name).identity for name in rest):
            # Such a column may take no other value by UPDATE.
            self._run("settle_delete")
            self._run("settle_insert")
        elif rest:
            self._run(
                "settle_update",
                assignments=sql.SQL(", ").join(
                    sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rest
                ),
            )

    def _check_foreign_keys(self) -> None:
        """Raise where the row refers to none, or rows refer to it that is not there."""
        rows = self._session.execute(
            statement("foreign_keys"), {"tables": [self._table.oid]}
        ).fetchall()
        ours = (self._table.schema, self._table.name)
        for row in rows:
            name, child_schema, child, child_only, parent_schema, parent, parent_only, *rest = row
            validated, temporal, match_full, columns = rest
            if not validated or temporal:
                continue
            parts = _Parts(columns, match_full=match_full)
            relations = {
                "child": _relation(child_schema, child, only=child_only),
                "parent": _relation(parent_schema, parent, only=parent_only),
            }
            full = f"{child_schema}.{child}.{name}"
            if (child_schema, child) == ours and self._lacks_parent(parts, relations):
                raise RefusedError(
                    f"the row refers to one of {parent_schema}.{parent} that is not there ({full})",
                    "Bring that one back first, or keep the other version",
                )
            if (parent_schema, parent) == ours and self._has_orphans(parts, relations):
                raise RefusedError(
                    f"rows of {child_schema}.{child} refer to the row as it is ({full})",
                    "Change those first, or keep the other version",
                )

    def _lacks_parent(self, parts: "_Parts", relations: Mapping[str, sql.Composable]) -> bool:
        child_is_k = key_condition(self._table, self._key, "child", "k")
        return self._holds("settle_parent", parts, relations, child_is_k=child_is_k)

    def _has_orphans(self, parts: "_Parts", relations: Mapping[str, sql.Composable]) -> bool:
        return self._holds("settle_children", parts, relations, was_matches=parts.matches("was"))

    def _holds(
        self,
        name: str,
        parts: "_Parts",
        relations: Mapping[str, sql.Composable],
        **extra: sql.Composable,
    ) -> bool:
        row = self._run(
            name, matches=parts.matches("parent"), complete=parts.complete, **relations, **extra
        ).fetchone()
        return bool(row and row[0])

    def _copy_in(self, table: str, columns: Sequence[str], values: Image) -> None:
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier("pg_temp", table), names(columns)
        )
        with self._session.cursor() as cursor, cursor.copy(query) as copy:
            for line in copy_lines([values], columns):
                copy.write(line)

    def _run(self, name: str, **extra: sql.Composable) -> psycopg.Cursor[tuple[Any, ...]]:
        table = self._table
        parts: dict[str, sql.Composable] = {
            "table": table.identifier,
            "into": table.identifier,
            "rows": rows_of(table),
            "key": names(list(self._key)),
            "columns": names(self._columns),
            "t_image": image("t", self._columns),
            "t_is_k": key_condition(table, self._key, "t", "k"),
            **extra,
        }
        return self._session.execute(sql.SQL(statement(name)).format(**parts))


class _Parts:
    """A foreign key's conditions, as the server's own check compares."""

    def __init__(self, columns: Sequence[Sequence[str]], *, match_full: bool) -> None:
        self._columns = columns
        present = [
            sql.SQL("{} IS NOT NULL").format(sql.Identifier("child", column[0]))
            for column in columns
        ]
        # MATCH SIMPLE lets a row pass that has any null; MATCH FULL only one of nothing else.
        self.complete = sql.SQL("({})").format(
            sql.SQL(" OR " if match_full else " AND ").join(present)
        )

    def matches(self, parent_alias: str) -> sql.Composed:
        """`parent.id = child.parent_id AND …`."""
        return sql.SQL(" AND ").join(_match(parent_alias, column) for column in self._columns)


def _match(parent_alias: str, column: Sequence[str]) -> sql.Composed:
    child, parent, operator, operator_schema, collation_schema, collation = column
    symbol: LiteralString = operator
    collate: sql.Composable = sql.SQL("")
    if collation:
        collate = sql.SQL(" COLLATE {}").format(sql.Identifier(collation_schema, collation))
    return sql.SQL("{} OPERATOR({}.{}) {}{}").format(
        sql.Identifier(parent_alias, parent),
        sql.Identifier(operator_schema),
        sql.SQL(symbol),
        sql.Identifier("child", child),
        collate,
    )


def _relation(schema: str, name: str, *, only: bool) -> sql.Composed:
    return sql.SQL("ONLY {}" if only else "{}").format(sql.Identifier(schema, name))


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).rstrip(".")
