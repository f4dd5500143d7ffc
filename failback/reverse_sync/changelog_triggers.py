"""Installs the changelog on one side, and takes it away again.

Changes when tables come in another kind. Statement-level triggers fire for the table that a
statement names, and for no other: so a partitioned table has them on its root and on every
partition, and each change is written once, whichever of them it came through.
"""

from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from failback.reverse_sync.catalogue import Partition, Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.fence_triggers import patiently
from failback.reverse_sync.statements import statement

_PATIENCE_SECONDS = 60.0
_OLD, _NEW = sql.Identifier("failback_old"), sql.Identifier("failback_new")
_EVENTS = (
    ("insert", sql.SQL(" REFERENCING NEW TABLE AS failback_new")),
    (
        "update",
        sql.SQL(" REFERENCING OLD TABLE AS failback_old NEW TABLE AS failback_new"),
    ),
    ("delete", sql.SQL(" REFERENCING OLD TABLE AS failback_old")),
    ("truncate", sql.SQL("")),
)


def install(connection: Connection, tables: Sequence[Table], *, always: bool) -> tuple[str, ...]:
    """Write down every change of the tables from here on; returns the tables that are new to it.

    Idempotent. Each table is a short transaction of its own, which waits for the writers that are
    in flight: whoever writes afterwards is written down.

    Args:
        connection: a session in autocommit mode, as a role that owns the tables.
        tables: the armed tables; partitions are covered with them.
        always: fire under `session_replication_role = replica` too. On the side that is applied
            to this must be false: what is applied there is none of its own changes.

    Raises:
        MissingRightError: a trigger may not be made.
        FenceNotHeldError: a table stays locked; names by whom.
    """
    with connection.transaction():
        connection.execute(statement("changelog_install"))
        for table in tables:
            _prepare(connection, table)
        by_oid = {table.oid: table for table in tables}
        for table in tables:
            connection.execute(_function(connection, table, by_oid))
            connection.execute(
                sql.SQL("REVOKE ALL ON FUNCTION failback.{}() FROM PUBLIC").format(_log(table.oid))
            )
    uncovered = _uncovered(connection, tables, always=always)
    for table in tables:
        relations: tuple[Table | Partition, ...] = (table, *table.partitions)
        for each in relations:
            if each.qualified in uncovered.get(table.oid, ()):
                _cover(connection, table, each, always=always)
    return tuple(table.qualified for table in tables if uncovered.get(table.oid))


def uncovered(connection: Connection, tables: Sequence[Table], *, always: bool) -> tuple[str, ...]:
    """Tables and partitions, as `schema.table`, with changes that would not be written down."""
    found = _uncovered(connection, tables, always=always)
    return tuple(sorted(name for names in found.values() for name in names))


def remove(connection: Connection, keep: Iterable[Table] = ()) -> tuple[str, ...]:
    """Take the changelog's triggers off tables, and drop what they wrote into; returns whose.

    Idempotent.

    Args:
        connection: a session in autocommit mode.
        keep: tables whose changes are to be written down further; without any, all goes.
    """
    keep = tuple(keep)
    roots = [f"changelog_{table.oid}" for table in keep]
    removed = []
    for schema, name, triggers in connection.execute(
        statement("changelog_triggers"), {"roots": roots}
    ).fetchall():
        table = sql.Identifier(schema, name)
        drops = [
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(each), table)
            for each in triggers
        ]
        patiently(connection, table, drops, _PATIENCE_SECONDS)
        removed.append(f"{schema}.{name}")
    with connection.transaction():
        for (log,) in connection.execute(statement("changelog_left"), {"roots": roots}).fetchall():
            for drop in ("DROP FUNCTION IF EXISTS failback.{}()", "DROP TABLE failback.{}"):
                connection.execute(sql.SQL(drop).format(sql.Identifier(log)))
        if not keep:
            connection.execute("DROP TABLE IF EXISTS failback.changelog")
    return tuple(removed)


def _log(oid: int) -> sql.Identifier:
    return sql.Identifier(f"changelog_{oid}")


def _prepare(connection: Connection, table: Table) -> None:
    """The table that keys are written into; its columns have the types of the key's."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(column.identifier, sql.SQL(column.type_name))
        for column in table.key_columns
    )
    connection.execute(
        sql.SQL(statement("changelog_table")).format(log=_log(table.oid), columns=columns)
    )


def _function(connection: Connection, table: Table, armed: Mapping[int, Table]) -> sql.Composed:
    """What the table's triggers do."""
    oid = sql.Literal(table.oid)
    heirs = [
        armed[row[0]]
        for row in connection.execute(statement("changelog_heirs"), {"table": table.oid}).fetchall()
        if row[0] in armed
    ]
    return sql.SQL(statement("changelog_function")).format(
        log=_log(table.oid),
        oid=oid,
        insert=_noting(table, (_NEW,)),
        # One row for a key that stayed the same.
        update=_all_noting(table, heirs, (_NEW, _OLD)),
        delete=_all_noting(table, heirs, (_OLD,)),
    )


def _all_noting(
    table: Table, heirs: Sequence[Table], rows: Sequence[sql.Identifier]
) -> sql.Composed:
    return sql.SQL("\n        ").join(
        [
            _noting(table, rows),
            *(
                _noting(heir, rows)
                if set(heir.key) <= {column.name for column in table.columns} and heir.key
                else _marking(heir)
                for heir in heirs
            ),
        ]
    )


def _noting(table: Table, rows: Sequence[sql.Identifier]) -> sql.Composed:
    if not table.key:
        return _marking(table)
    columns = sql.SQL(", ").join(column.identifier for column in table.key_columns)
    keys = sql.SQL(" UNION ").join(
        sql.SQL("SELECT {} FROM {}").format(columns, each) for each in rows
    )
    return sql.SQL("INSERT INTO failback.{} ({}) {};").format(_log(table.oid), columns, keys)


def _marking(table: Table) -> sql.Composed:
    """Without a key there is nothing to be told but that something changed."""
    return sql.SQL("INSERT INTO failback.changelog (relation) VALUES ({});").format(
        sql.Literal(table.oid)
    )


def _cover(connection: Connection, table: Table, each: Table | Partition, *, always: bool) -> None:
    enable = sql.SQL("ENABLE ALWAYS TRIGGER" if always else "ENABLE TRIGGER")
    steps = []
    for event, referencing in _EVENTS:
        # After whatever the product's own triggers are called.
        trigger = sql.Identifier(f"failback_changelog_{event}")
        steps += [
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} AFTER {} ON {}{} FOR EACH STATEMENT"
                " EXECUTE FUNCTION failback.{}()"
            ).format(
                trigger, sql.SQL(event.upper()), each.identifier, referencing, _log(table.oid)
            ),
            sql.SQL("ALTER TABLE ONLY {} {} {}").format(each.identifier, enable, trigger),
        ]
    patiently(connection, each.identifier, steps, _PATIENCE_SECONDS)


def _uncovered(
    connection: Connection, tables: Sequence[Table], *, always: bool
) -> dict[int, set[str]]:
    """By the armed table's oid, which of its relations lack a trigger."""
    rows = connection.execute(
        statement("changelog_covered"),
        {"roots": [table.oid for table in tables], "mode": "A" if always else "O"},
    )
    found: dict[int, set[str]] = {}
    for root, schema, name, covered in rows.fetchall():
        if not covered:
            found.setdefault(root, set()).add(f"{schema}.{name}")
    return found
