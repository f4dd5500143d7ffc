"""Which tables of the target are archived, and by which key each is known.

Changes when another kind of table can be archived, or has to be refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from failback.change_archive.settings import ArchiveSettings
from failback.errors import UnknownTablePatternError
from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import matching, publication
from failback.reverse_sync.catalogue import Table, read_named, read_tables
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.pgoutput import Relation, WholeRow


@dataclass(frozen=True)
class ArchivedTables:
    """The tables that are published, as one catalogue had them, and those that are not."""

    pairs: Mapping[str, TablePair]
    """By `schema.table`; each table meets itself."""
    by_oid: Mapping[int, TablePair]
    """By the oid that the stream uses: of the table, or of each of its partitions."""
    problems: tuple[TableProblem, ...] = ()
    """Tables that should be archived and are not."""

    @property
    def covered(self) -> dict[str, int]:
        """Their oids by name."""
        return {name: pair.sent.oid for name, pair in self.pairs.items()}

    @property
    def schemas(self) -> list[str]:
        """Where they are; their sequences are there as well."""
        return sorted({pair.sent.schema for pair in self.pairs.values()})

    def key_columns(self, relation: Relation) -> tuple[str, ...] | None:
        """The key of a relation of the stream; None for one that is not there any more.

        A partition that was made after the snapshot is unknown here, too. Its changes are not in
        the snapshot either, so that they come again.
        """
        pair = self.by_oid.get(relation.oid)
        return None if pair is None else pair.key


def archivable(
    connection: Connection, settings: ArchiveSettings
) -> tuple[tuple[Table, ...], tuple[TableProblem, ...]]:
    """The tables that can be archived, and why the others cannot.

    Raises:
        UnknownTablePatternError: a pattern matches no table.
    """
    tables = read_tables(connection, settings.include, settings.exclude)
    problems = list(matching.refusals(tables, Side.TARGET))
    problems += [
        TableProblem(
            table=table.qualified,
            problem="is not owned by failback's role on the target, so that it cannot be published",
            cure=f"GRANT {table.owner} TO failback's role",
        )
        for table in tables
        if not table.owned
    ]
    unfit = {each.table for each in problems}
    return tuple(table for table in tables if table.qualified not in unfit), tuple(problems)


def published(connection: Connection, settings: ArchiveSettings) -> ArchivedTables:
    """The tables that are archived now, in the transaction that is open."""
    names = publication.published(connection, settings.slot)
    try:
        tables, problems = archivable(connection, settings)
    except UnknownTablePatternError as error:
        tables, problems = (), (TableProblem(table="(all)", problem=error.cause),)
    found = {table.qualified: table for table in tables if table.qualified in names}
    problems += tuple(
        TableProblem(
            table=table.qualified,
            problem="is not archived: it was made after the archive was armed",
            cure="Run `failback arm` again",
        )
        for table in tables
        if table.qualified not in names
    )
    lacking = names.difference(found)
    found |= read_named(connection, lacking) if lacking else {}
    pairs = {name: _pair(table) for name, table in sorted(found.items())}
    by_oid = {}
    for pair in pairs.values():
        by_oid[pair.sent.oid] = pair
        by_oid.update(dict.fromkeys((each.oid for each in pair.sent.partitions), pair))
    return ArchivedTables(pairs, by_oid, problems)


def told(problems: Iterable[TableProblem]) -> str:
    """Problems in one sentence each."""
    return " ".join(
        f"{each.table} {each.problem}{f' ({each.cure})' if each.cure else ''}." for each in problems
    )


def _pair(table: Table) -> TablePair:
    """A table with itself. Where it has no key, the stream tells no generated column."""
    columns = tuple(column.name for column in table.columns if table.key or not column.generated)
    return TablePair(table, table, columns, binary=False)


def key_of(pair: TablePair) -> tuple[tuple[str, ...], bool]:
    """The key's columns, and whether that is the whole row."""
    return tuple(pair.key), isinstance(pair.key, WholeRow)
