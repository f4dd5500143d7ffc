"""Proves a backup: fetches and checks every part, restores it aside, and compares.

Changes when a proof has to look at something else. Nothing of a backup is executed before its
manifest, its signature and the bytes of all its parts have been checked.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from failback.errors import (
    BackupContentError,
    BackupPartChangedError,
    BackupPartMissingError,
    BackupRestoreError,
    BackupRuleError,
    BackupTableMissingError,
    BackupToolError,
)
from failback.models.backups import BackupManifest
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.backup import beside
from failback.providers.backup.attending import attended
from failback.providers.backup.content import Connect, Content, hash_probe, read_content
from failback.providers.backup.fetching import fetch
from failback.providers.backup.programs import Programs
from failback.providers.backup.restoring import restore_dump
from failback.providers.backup.scratch import scratch_database, scratch_server
from failback.providers.backup.shelf import Shelf
from failback.providers.backup.statements import statement
from failback.providers.backup.taking import DUMP
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.rules import Rule, check_rule

OF_THE_BACKUP = (
    BackupPartMissingError,
    BackupPartChangedError,
    BackupTableMissingError,
    BackupContentError,
    BackupRuleError,
)
"""What is the backup's own fault, and not that of the server or of the programs at hand."""
_NAMED = 5
"""Tables that an error names."""
_AMCHECK_SCHEMA = "failback_amcheck"
_EXTENSIONS = (
    "Where an extension is missing, name a server that has it in backup.scratch_dsn; its version"
    " must be that of the server that was dumped, or newer."
)


@dataclass(frozen=True)
class Trial:
    """How backups are restored aside.

    Args:
        programs: with pg_restore and, without a `dsn`, initdb, pg_ctl and postgres.
        dsn: a server for it; empty starts one.
        user: whom such a server runs as where we are root.
        parallel: tables and parts at once.
        rules: business rules that must hold in what was restored.
    """

    programs: Programs
    dsn: str
    user: str
    parallel: int
    rules: Sequence[Rule]


@dataclass(frozen=True)
class Held:
    """What a trial found."""

    server_version: str
    amcheck: str
    rules: tuple[str, ...]
    objects: int = 0


def tried(shelf: Shelf, manifest: BackupManifest, trial: Trial, work: Path, tell: Progress) -> Held:
    """Restore a backup aside and compare it with its manifest.

    Args:
        shelf: where it is.
        manifest: what it should be; checked before.
        trial: how.
        work: an empty folder.
        tell: told what goes on; what it raises ends the trial.

    Raises:
        BackupError: something does not hold; see `OF_THE_BACKUP`.
    """
    tell(f"Checking {len(manifest.parts)} parts, {manifest.bytes:,} bytes.")
    parts = work / "parts"
    fetch(shelf, manifest, parts, trial.parallel, lambda _: tell("Fetching parts."))
    objects = beside.check(parts, manifest)
    dump = parts / DUMP
    _tables_are_in_dump(trial.programs, dump, manifest)
    with _scratch(trial, work, manifest) as dsn:
        tell("Restoring into a scratch database.")
        restore_dump(trial.programs, dump, dsn, trial.parallel, tell, cure=_EXTENSIONS)
        tell("Comparing every table with the manifest.")
        connect = partial(Servers(dsn, dsn).connect, Side.SOURCE, autocommit=True)
        try:
            with closing(connect()) as session:
                _refuse_other_hashes(session, manifest)
            compare(read_all(connect, manifest.excluded_schemas, trial.parallel, tell), manifest)
            judged = judge(connect, trial.rules, manifest.id, tell)
        except psycopg.Error as error:
            raise BackupRestoreError(
                f"The restored database cannot be read: {str(error).splitlines()[0]}.",
                "Look at the scratch server, then prove the backup again.",
            ) from error
    return replace(judged, objects=objects)


def read_all(connect: Connect, excluded: Sequence[str], parallel: int, tell: Progress) -> Content:
    """What a restored database holds; what `tell` raises ends the reading."""
    halt = threading.Event()
    reading = partial(read_content, connect, excluded, parallel, halt=halt)
    return attended(reading, tell, "Reading every row.", halt.set)


def judge(connect: Connect, rules: Sequence[Rule], backup: str, tell: Progress) -> Held:
    """Whether a restored database keeps its rules and is sound.

    Raises:
        BackupRuleError: a rule is broken, or amcheck found damage.
    """
    with closing(connect()) as session:

        def looking() -> Held:
            held = _rules_that_held(session, rules, backup)
            sound = _amcheck(session, backup)
            version = session.execute("SHOW server_version").fetchall()[0][0]
            return Held(version, sound, held)

        return attended(looking, tell, "Checking rules, tables and indexes.", session.cancel)


def _tables_are_in_dump(programs: Programs, dump: Path, manifest: BackupManifest) -> None:
    """Look into the dump's table of contents: what is not there need not be restored first."""
    try:
        contents = programs.run("pg_restore", ["--list", dump])
    except BackupToolError as error:
        raise BackupRestoreError(
            f"The dump of {manifest.id} cannot be read: {error.cause}",
            error.cure or "backup.pg_bin must be as new as the pg_dump that wrote it.",
        ) from error
    listed = {_spaced(line.partition(" TABLE ")[2]) for line in contents.splitlines()}
    lacking = [
        one.table
        for one in manifest.tables
        if not any(line.startswith(f"{_spaced(one.table)} ") for line in listed)
    ]
    _refuse_missing(lacking, manifest)


def _spaced(text: str) -> str:
    """A name as the table of contents writes it, where nothing is quoted."""
    return " ".join(text.replace(".", " ").split())


def _refuse_missing(lacking: Sequence[str], manifest: BackupManifest) -> None:
    if lacking:
        raise BackupTableMissingError(
            f"The backup {manifest.id} lacks {len(lacking)} of {len(manifest.tables)} tables:"
            f" {', '.join(lacking[:_NAMED])}.",
            "Use another backup, and take a new one.",
        )


@contextmanager
def _scratch(trial: Trial, work: Path, manifest: BackupManifest) -> Iterator[str]:
    if trial.dsn:
        with scratch_database(trial.dsn, manifest.roles) as dsn:
            yield dsn
        return
    # Our own folder is closed to the user that a server may have to run as.
    with (
        scratch_server(trial.programs, work.parent, trial.user) as server,
        scratch_database(server, manifest.roles) as dsn,
    ):
        yield dsn


def _refuse_other_hashes(session: Connection, manifest: BackupManifest) -> None:
    if hash_probe(session) != manifest.hash_probe:
        raise BackupRestoreError(
            "The scratch server hashes values in another way than the one that was backed up.",
            f"Use a scratch server of PostgreSQL {manifest.server_major}.",
        )


def compare(content: Content, manifest: BackupManifest) -> None:
    """Refuse what a manifest does not say.

    Raises:
        BackupTableMissingError: a table is not there.
        BackupContentError: rows or the schema are others.
    """
    found = {one.table: one for one in content.tables}
    _refuse_missing([one.table for one in manifest.tables if one.table not in found], manifest)
    differing = [
        f"{wanted.table} has {found[wanted.table].rows:,} rows instead of {wanted.rows:,}"
        if found[wanted.table].rows != wanted.rows
        else f"{wanted.table} has {wanted.rows:,} rows, and not the same"
        for wanted in manifest.tables
        if found[wanted.table] != wanted
    ]
    if differing:
        raise BackupContentError(
            f"The backup {manifest.id} does not hold what its manifest says:"
            f" {'; '.join(differing[:_NAMED])}.",
            "Use another backup, and take a new one.",
        )
    if content.schema_fingerprint != manifest.schema_fingerprint:
        raise BackupContentError(
            f"The backup {manifest.id} came back with another schema than its manifest says.",
            "Use another backup; if the schema was changed while it was taken, take a new one.",
        )


def _rules_that_held(session: Connection, rules: Sequence[Rule], backup: str) -> tuple[str, ...]:
    """The names of the rules; raises BackupRuleError where one is broken."""
    for rule in rules:
        result = check_rule(session, rule)
        if result.violations:
            why = result.detail or f"{result.violations:,} rows, such as {result.examples[:1]}"
            raise BackupRuleError(
                f"The data of {backup} break the business rule {rule.name}: {why}",
                "Use a backup from before, or correct the rule.",
            )
    return tuple(rule.name for rule in rules)


def _amcheck(session: Connection, backup: str) -> str:
    """Have amcheck look at tables and indexes, where the scratch server has it.

    Raises:
        BackupRuleError: it found damage.
    """
    available = "SELECT FROM pg_available_extensions WHERE name = 'amcheck'"
    if session.execute(available).fetchone() is None:
        return "not asked: the scratch server does not have it"
    session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_AMCHECK_SCHEMA)))
    session.execute(
        sql.SQL("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA {}").format(
            sql.Identifier(_AMCHECK_SCHEMA)
        )
    )
    row = session.execute(statement("amcheck_schema")).fetchall()[0]
    session.execute(sql.SQL("SET search_path = pg_catalog, {}").format(sql.Identifier(row[0])))
    damage = "; ".join(one[0] for one in session.execute(statement("amcheck")))
    try:
        session.execute(statement("amcheck_indexes"))
    except (psycopg.errors.IndexCorrupted, psycopg.errors.DataCorrupted) as error:
        damage = f"{damage}; {error.diag.message_primary}".strip("; ")
    if damage:
        raise BackupRuleError(
            f"amcheck finds damage in the restored {backup}: {damage}.",
            "Check the scratch server's disk, then prove the backup again.",
        )
    return "tables and indexes are sound"
