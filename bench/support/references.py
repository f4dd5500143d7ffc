"""What others would do to carry the same changes: the references that a drain is measured by.

Changes when a reference is done in another way. Values travel as text, which every server
reads, so that no reference loses time or rows to the types of a client library.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from bench.support.data import SHAPES, Session, TableChanges, TableShape, blocks, maker, names

BATCH = 1000
_POLL_SECONDS = 0.001
_DEADLINE_SECONDS = 300.0


@dataclass
class Losses:
    """What a reference could not carry over."""

    refused: int = 0
    """Rows that the receiver refused, because another row had a unique value."""
    aborted: int = 0
    """Batches that had to be done again row by row."""

    def __str__(self) -> str:
        return f"{self.refused} rows refused, {self.aborted} batches aborted"


def row_by_row(sender: Session, receiver: Session, since: str) -> Losses:
    """Poll `updated_at` and upsert row by row, a commit each 1000, as scripts do.

    Sees no deletes. A row whose unique value another row still has is left out, as the batch
    around it could not be committed otherwise.
    """
    losses = Losses()
    receiver.execute("SET session_replication_role = replica")
    for shape in SHAPES:
        query = sql.SQL("SELECT {} FROM {} WHERE updated_at > {} ORDER BY updated_at").format(
            _as_text(shape), shape.identifier, sql.Literal(since)
        )
        upsert = _upsert(shape)
        with sender.transaction(), sender.cursor("polled") as cursor:
            cursor.itersize = BATCH
            cursor.execute(query)
            while rows := cursor.fetchmany(BATCH):
                try:
                    with receiver.transaction():
                        for row in rows:
                            receiver.execute(upsert, row)
                except psycopg.errors.UniqueViolation:
                    losses.aborted += 1
                    losses.refused += _one_at_a_time(receiver, upsert, rows)
    return losses


def pipelined(sender: Session, receiver: Session, picked: Sequence[TableChanges]) -> Losses:
    """Upserts and deletes by key in psycopg's pipeline mode, a commit each 1000.

    The keys that changed are given to it for nothing.
    """
    losses = Losses()
    receiver.execute("SET session_replication_role = replica")
    for changes in picked:
        shape = changes.shape
        upsert, delete = _upsert(shape), _delete(shape)
        for numbers in blocks(changes.numbers, BATCH):
            found = sender.execute(_current(shape), [numbers]).fetchall()
            gone = [row[: len(shape.key)] for row in found if row[-1] is None]
            rows = [row[:-1] for row in found if row[-1] is not None]
            try:
                with receiver.transaction(), receiver.cursor() as cursor:
                    cursor.executemany(delete, gone)
                    cursor.executemany(upsert, rows)
            except psycopg.errors.UniqueViolation:
                losses.aborted += 1
                with receiver.cursor() as cursor:
                    cursor.executemany(delete, gone)
                losses.refused += _one_at_a_time(receiver, upsert, rows)
    return losses


class LogicalReplication:
    """Postgres's own: a publication of whole rows, and a subscription that applies them.

    Args:
        sender: a superuser's session on the target.
        receiver: a superuser's session on a copy of the source.
        sender_dsn: how the receiving server reaches the target.
        name: of slot, publication and subscription.
        further: names of tables of `public` beside the generated ones.
    """

    def __init__(
        self,
        sender: Session,
        receiver: Session,
        sender_dsn: str,
        name: str,
        further: Sequence[str] = (),
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._name = name
        self._marks = 0
        identifier = sql.Identifier(name)
        for session in (sender, receiver):
            session.execute("CREATE TABLE bench.mark (id int PRIMARY KEY)")
        tables = [shape.identifier for shape in SHAPES]
        tables += [sql.Identifier("public", table) for table in further]
        tables.append(sql.Identifier("bench", "mark"))
        sender.execute(
            sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(
                identifier, sql.SQL(", ").join(tables)
            )
        )
        sender.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
        receiver.execute(
            sql.SQL(
                "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH (create_slot = false,"
                " slot_name = {}, copy_data = false, enabled = false, binary = true)"
            ).format(identifier, sql.Literal(sender_dsn), identifier, sql.Literal(name))
        )

    def mark(self) -> int:
        """Write a last change: when it arrives, everything before it has."""
        self._marks += 1
        self._sender.execute("INSERT INTO bench.mark VALUES (%s)", [self._marks])
        return self._marks

    def enable(self) -> None:
        """Let it apply."""
        self._alter("ENABLE")

    def disable(self) -> None:
        """Stop it, and wait until its worker has let the slot go."""
        self._alter("DISABLE")
        deadline = time.monotonic() + _DEADLINE_SECONDS
        query = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active"
        while self._sender.execute(query, [self._name]).fetchone():
            _pause(deadline, "the subscription to stop")

    def wait(self, mark: int) -> None:
        """Wait until a mark has arrived."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        query = "SELECT 1 FROM bench.mark WHERE id = %s"
        while not self._receiver.execute(query, [mark]).fetchone():
            _pause(deadline, "logical replication")

    def remove(self) -> None:
        """Drop it on both sides."""
        name = sql.Identifier(self._name)
        self.disable()
        self._receiver.execute(sql.SQL("DROP SUBSCRIPTION {}").format(name))
        self._sender.execute(sql.SQL("DROP PUBLICATION {}").format(name))
        for session in (self._sender, self._receiver):
            session.execute("DROP TABLE bench.mark")

    def _alter(self, what: str) -> None:
        self._receiver.execute(
            sql.SQL("ALTER SUBSCRIPTION {} {}").format(sql.Identifier(self._name), sql.SQL(what))
        )


class RawCopy:
    """The floor: the changed rows in one binary COPY a table into unlogged tables.

    Without indexes, and without a look at what was there.

    Args:
        sender: a session on the target that may make tables in the schema `bench`.
        receiver: the same on a copy of the source.
    """

    def __init__(self, sender: Session, receiver: Session) -> None:
        self._sender = sender
        self._receiver = receiver

    def prepare(self, picked: Sequence[TableChanges]) -> int:
        """Set the rows apart on the target, and make empty tables; returns how many rows."""
        rows = 0
        for changes in picked:
            shape = changes.shape
            apart, columns = _apart(shape), names(shape.columns, "t")
            for session in (self._sender, self._receiver):
                session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(apart))
            rows += self._sender.execute(
                sql.SQL(
                    "CREATE UNLOGGED TABLE {} AS SELECT {} FROM {} AS t JOIN {} AS made"
                    " ON ({}) = ({})"
                ).format(
                    apart,
                    columns,
                    shape.identifier,
                    _made(shape, sql.Literal(changes.numbers)),
                    names(shape.key, "t"),
                    names(shape.key, "made"),
                )
            ).rowcount
            self._receiver.execute(
                sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT {} FROM {} AS t WITH NO DATA").format(
                    apart, columns, shape.identifier
                )
            )
        return rows

    def run(self) -> None:
        """Copy them over in one transaction."""
        with self._receiver.transaction():
            for shape in SHAPES:
                apart = _apart(shape)
                giving = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(apart)
                taking = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(apart)
                with (
                    self._sender.cursor().copy(giving) as out,
                    self._receiver.cursor().copy(taking) as into,
                ):
                    for block in out:
                        into.write(block)


def difference(sender: Session, receiver: Session, picked: Sequence[TableChanges]) -> str:
    """What a receiver lacks of the changed keys, in plain SQL; empty where it lacks nothing."""
    missing = extra = different = 0
    for changes in picked:
        query = sql.SQL(
            "SELECT n, hashtextextended(ROW({})::text, 0) FROM unnest({}::bigint[]) AS n,"
            " LATERAL {}(n, 0, now()) AS made JOIN {} AS t ON ({}) = ({})"
        ).format(
            names(changes.shape.columns, "t"),
            sql.Literal(changes.numbers),
            maker(changes.shape),
            changes.shape.identifier,
            names(changes.shape.key, "t"),
            names(changes.shape.key, "made"),
        )
        theirs = dict(sender.execute(query).fetchall())
        ours = dict(receiver.execute(query).fetchall())
        missing += len(theirs.keys() - ours.keys())
        extra += len(ours.keys() - theirs.keys())
        different += sum(ours[n] != theirs[n] for n in theirs.keys() & ours.keys())
    if not (missing or extra or different):
        return ""
    return f"{missing} missing, {extra} extra, {different} different"


def _as_text(shape: TableShape, of: str = "") -> sql.Composed:
    prefix = (of,) if of else ()
    return sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(*prefix, name)) for name in shape.columns
    )


def _made(shape: TableShape, numbers: sql.Composable) -> sql.Composed:
    """The keys of row numbers, as a relation."""
    return sql.SQL(
        "(SELECT {} FROM unnest({}::bigint[]) AS n, LATERAL {}(n, 0, now()) AS m)"
    ).format(names(shape.key, "m"), numbers, maker(shape))


def _current(shape: TableShape) -> sql.Composed:
    """Key and row of each number; the last column is null where there is no row any more."""
    columns = [
        sql.SQL("{}::text").format(sql.Identifier("made" if name in shape.key else "t", name))
        for name in shape.columns
    ]
    return sql.SQL("SELECT {}, t.{}::text FROM {} AS made LEFT JOIN {} AS t ON ({}) = ({})").format(
        sql.SQL(", ").join(columns),
        sql.Identifier(shape.key[0]),
        _made(shape, sql.Placeholder()),
        shape.identifier,
        names(shape.key, "t"),
        names(shape.key, "made"),
    )


def _upsert(shape: TableShape) -> sql.Composed:
    others = [name for name in shape.columns if name not in shape.key]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        shape.identifier,
        names(shape.columns),
        sql.SQL(", ").join(sql.Placeholder() * len(shape.columns)),
        names(shape.key),
        sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others
        ),
    )


def _delete(shape: TableShape) -> sql.Composed:
    return sql.SQL("DELETE FROM {} WHERE {}").format(
        shape.identifier,
        sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(key)) for key in shape.key),
    )


def _one_at_a_time(receiver: Session, upsert: sql.Composed, rows: Sequence[tuple[object]]) -> int:
    refused = 0
    for row in rows:
        try:
            receiver.execute(upsert, row)
        except psycopg.errors.UniqueViolation:
            refused += 1
    return refused


def _apart(shape: TableShape) -> sql.Identifier:
    return sql.Identifier("bench", f"floor_{shape.name}")


def _pause(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"waited {_DEADLINE_SECONDS:.0f} s in vain for {what}")
    time.sleep(_POLL_SECONDS)
