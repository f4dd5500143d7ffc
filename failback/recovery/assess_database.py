"""What is left of the source's database: whether it answers, takes writes, and can be believed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import psycopg

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    FailbackError,
    MissingRightError,
    UnreachableError,
)
from failback.models.backups import BackupManifest
from failback.models.common import Side
from failback.models.recovery import Condition
from failback.ports import Progress
from failback.recovery.findings import Finding, sound, untold
from failback.recovery.reading import Deadline, check_structure, count_rows
from failback.recovery.settings import RecoverySettings
from failback.recovery.statements import statement
from failback.recovery.vault import BackupVault
from failback.reverse_sync.connections import Connection, Servers, is_lost

_TRIES = 3
_PAUSE_SECONDS = 0.5
_COMING_UP = ("starting up", "shutting down", "recovery mode", "not yet accepting connections")
_OWN_SCHEMA = "failback"
_NAMED = 8
_SHRUNK = 0.5
"""Less than this share of a table's rows left is worth a person's look."""


@dataclass
class DatabaseSeen:
    """Everything that was seen of the database."""

    findings: list[Finding] = field(default_factory=list)
    answers: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    """Of each table that could be read."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with it that needs a restore."""
        bad = (Condition.CORRUPTED, Condition.GONE)
        return self.answers and not any(one.condition in bad for one in self.findings)


def look_at_database(
    settings: RecoverySettings,
    vault: BackupVault,
    manifest: BackupManifest | None,
    balancer_sees_it: bool | None,
    progress: Progress,
) -> DatabaseSeen:
    """Ask the source's database everything that shows damage. Writes nothing that stays.

    Args:
        settings: the estate.
        vault: with the backup that it is compared with.
        manifest: of that backup; None where there is none.
        balancer_sees_it: whether the balancer sees it up; None where it cannot say.
        progress: told of long work; may raise to stop it.
    """
    seen = DatabaseSeen()
    servers = Servers(settings.source_dsn, settings.target_dsn, settings.connect_timeout_seconds)
    progress("Connecting to the source's database.")
    opened = _connected(servers)
    if isinstance(opened, FailbackError):
        seen.findings.append(_no_connection(opened, balancer_sees_it))
        return seen
    seen.answers = True
    seen.findings.append(sound("can connect", servers.describe(Side.SOURCE)))
    with closing(opened) as session:
        try:
            asking = _Asking(session, settings, vault, manifest)
            for found in asking.everything(seen, progress):
                seen.findings.append(found)
        except psycopg.Error as error:
            lost = is_lost(error)
            seen.findings.append(
                Finding(
                    "answers what it is asked",
                    Condition.DEGRADED if lost else Condition.CORRUPTED,
                    str(error).splitlines()[0],
                )
            )
    return seen


def _connected(servers: Servers) -> Connection | FailbackError:
    for left in reversed(range(_TRIES)):
        try:
            return servers.connect(Side.SOURCE, autocommit=True)
        except (
            UnreachableError,
            CredentialsError,
            MissingRightError,
            ConfigurationError,
        ) as error:
            if not left or not isinstance(error, UnreachableError):
                return error
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns")


def _no_connection(error: FailbackError, balancer_sees_it: bool | None) -> Finding:
    """A database that is not there, or one that only does not let us in."""
    detail = error.cause
    if isinstance(error, ConfigurationError) and "does not exist" in detail:
        return Finding("can connect", Condition.GONE, detail)
    if not isinstance(error, UnreachableError):
        return untold("can connect", detail, vital=True)
    if any(sign in detail for sign in _COMING_UP):
        return untold("can connect", detail, vital=True)
    if balancer_sees_it:
        return untold("can connect", f"{detail} The balancer, though, reaches it.", vital=True)
    if balancer_sees_it is False:
        detail = f"{detail} The balancer does not reach it either."
    return Finding("can connect", Condition.GONE, f"{_TRIES} tries: {detail}")


@dataclass(frozen=True)
class _Asking:
    """A session, with what it is asked about."""

    session: Connection
    settings: RecoverySettings
    vault: BackupVault
    manifest: BackupManifest | None

    def everything(self, seen: DatabaseSeen, progress: Progress) -> Iterator[Finding]:
        """Cheap questions first; `seen` gets the rows that could be counted."""
        session, settings, manifest = self.session, self.settings, self.manifest
        yield _takes_writes(session)
        there = {
            f"{schema}.{name}"
            for schema, name, _ in session.execute(statement("tables")).fetchall()
        }
        yield from _has_what_it_should(there, settings.required_schemas, manifest)
        yield _schema(settings, self.vault, manifest)
        deadline = Deadline(settings.amcheck_seconds)
        counted = count_rows(session, deadline, progress)
        seen.rows = counted.rows
        yield from counted.findings
        yield _drift(counted.rows, there, manifest)
        if settings.amcheck:
            yield from check_structure(session, deadline, progress)
        else:
            yield untold("amcheck", "recovery.amcheck is off")
        # Last, so that it counts what the looks above have found.
        yield _checksums(session)


def _takes_writes(session: Connection) -> Finding:
    name = "can write"
    try:
        with session.transaction(force_rollback=True):
            session.execute("SET TRANSACTION READ WRITE")
            session.execute("SELECT pg_current_xact_id()")
            session.execute("CREATE TEMPORARY TABLE failback_can_write (value integer)")
            session.execute("INSERT INTO pg_temp.failback_can_write VALUES (1)")
    except psycopg.errors.InsufficientPrivilege as error:
        return untold(name, str(error.diag.message_primary))
    except psycopg.Error as error:
        if session.closed or is_lost(error):
            raise
        return Finding(name, Condition.DEGRADED, str(error.diag.message_primary or error))
    return sound(name, "a transaction that was rolled back")


def _has_what_it_should(
    there: set[str], required: Sequence[str], manifest: BackupManifest | None
) -> Iterator[Finding]:
    schemas = {name.partition(".")[0] for name in there}
    expected = set() if manifest is None else {one.table for one in manifest.tables}
    wanted = set(required) or {name.partition(".")[0] for name in expected} - {_OWN_SCHEMA}
    if not wanted:
        yield untold("schemas are there", "no backup says which there should be", vital=True)
        return
    lacking = sorted(wanted - schemas)
    yield (
        Finding("schemas are there", Condition.CORRUPTED, f"missing: {', '.join(lacking)}")
        if lacking
        else sound("schemas are there", ", ".join(sorted(wanted)))
    )
    # Failback's own tables come and go with arming.
    product = {name for name in expected if not name.startswith(f"{_OWN_SCHEMA}.")}
    missing = sorted(product - there)
    yield (
        Finding(
            "tables are there",
            Condition.CORRUPTED,
            f"{len(missing)} of {len(product)} are missing: {', '.join(missing[:_NAMED])}",
        )
        if missing
        else sound("tables are there", f"all {len(product)} of the backup")
    )


def _schema(
    settings: RecoverySettings, vault: BackupVault, manifest: BackupManifest | None
) -> Finding:
    name = "schema is that of the backup"
    if manifest is None:
        return untold(name, "there is no backup to compare with")
    try:
        differs = vault.schema_differs(manifest.id, settings.source_dsn)
    except FailbackError as error:
        return untold(name, error.cause)
    if differs:
        # It may have been migrated or armed since; what is missing is told above.
        return untold(name, f"it is another than when {manifest.id} was taken")
    return sound(name, manifest.id)


def _drift(rows: dict[str, int], there: set[str], manifest: BackupManifest | None) -> Finding:
    name = "rows against the backup"
    if manifest is None:
        return untold(name, "there is no backup to compare with")
    emptied, shrunk = [], []
    for table in manifest.tables:
        now = rows.get(table.table)
        if now is None or table.table not in there or table.table.startswith(f"{_OWN_SCHEMA}."):
            continue
        text = f"{table.table} has {now:,} rows, and had {table.rows:,}"
        if table.rows and not now:
            emptied.append(text)
        elif now < table.rows * _SHRUNK:
            shrunk.append(text)
    if emptied:
        return Finding(name, Condition.CORRUPTED, "; ".join((emptied + shrunk)[:_NAMED]))
    if shrunk:
        return Finding(name, Condition.DEGRADED, "; ".join(shrunk[:_NAMED]))
    return sound(name, f"{sum(rows.values()):,} rows now, {manifest.rows:,} in {manifest.id}")


def _checksums(session: Connection) -> Finding:
    name = "page checksums"
    row = session.execute(statement("checksums")).fetchone()
    if row is None or not row[0]:
        return untold(name, "this cluster has none")
    if row[1]:
        return Finding(name, Condition.CORRUPTED, f"{row[1]} pages failed, the last at {row[2]}")
    return sound(name, "none has failed")
