"""Backups of a real server, damaged and forged in every way that a proof must catch."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from failback import certificates
from failback.errors import (
    BackupContentError,
    BackupError,
    BackupEstateError,
    BackupPartChangedError,
    BackupPartMissingError,
    BackupRestoreError,
    BackupRuleError,
    BackupSignatureError,
    BackupTableMissingError,
    BackupVersionError,
)
from failback.lab.databases import DatabasePair
from failback.models.backups import BackupManifest, BackupState
from failback.providers.backup.signing import Trust, sealed

from support.backups import Shelved, Write, opened

pytestmark = pytest.mark.servers


def flip_a_byte(backup: Shelved) -> None:
    path = max((backup.home / "database").glob("*.gz"), key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lose_a_part(backup: Shelved) -> None:
    next((backup.home / "database").glob("*.gz")).unlink()


def cut_a_part(backup: Shelved) -> None:
    path = backup.home / "database" / "toc.dat"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (flip_a_byte, BackupPartChangedError, "has other bytes than were written"),
        (cut_a_part, BackupPartChangedError, "has other bytes than were written"),
        (lose_a_part, BackupPartMissingError, "is missing"),
    ],
)
def test_prove_when_a_part_is_damaged_then_caught_and_listed_as_broken(
    damage: Callable[[Shelved], None],
    error: type[BackupError],
    said: str,
    copy: Shelved,
    write: Write,
    tmp_path: Path,
) -> None:
    damage(copy)
    backups = opened(write(tmp_path))
    with pytest.raises(error, match=said):
        backups.prove()
    (listed,) = backups.list().backups
    assert listed.state is BackupState.BROKEN
    assert copy.id in listed.problem


def test_prove_when_the_dump_lacks_a_table_then_named(
    copy: Shelved, write: Write, tmp_path: Path, origin: DatabasePair
) -> None:
    copy.dumped_again(
        origin.servers.source.programs,
        origin.source_admin_dsn,
        ["--exclude-table=public.customers"],
    )
    with pytest.raises(BackupTableMissingError, match=r"lacks 1 of 5 tables: public\.customers"):
        opened(write(tmp_path)).prove()


def test_prove_when_the_dump_lacks_a_row_then_its_table_is_named(
    copy: Shelved, write: Write, tmp_path: Path, origin: DatabasePair
) -> None:
    with psycopg.connect(origin.source_admin_dsn, autocommit=True) as session:
        text = session.execute(
            "WITH gone AS (DELETE FROM orders WHERE id = 7 RETURNING *) SELECT total FROM gone"
        ).fetchone()
        assert text is not None
        copy.dumped_again(origin.servers.source.programs, origin.source_admin_dsn)
        session.execute(
            "INSERT INTO orders SELECT 7, 8, %s, '2026-01-01'::timestamptz + '7 s'::interval,"
            " ARRAY['x', NULL], '{\"a\": 1.0}', 1.0",
            text,
        )
    with pytest.raises(BackupContentError, match=r"public\.orders has 1,999 rows instead of 2,000"):
        opened(write(tmp_path)).prove()


def test_prove_when_a_row_was_cut_from_the_dump_then_caught_at_each_depth_of_forging(
    copy: Shelved, write: Write, tmp_path: Path
) -> None:
    backups = opened(write(tmp_path))
    row = copy.cut_a_row(2000)
    assert row.count("\t") == 6  # of orders; generated columns are not dumped
    with pytest.raises(BackupPartChangedError, match="has other bytes than were written"):
        backups.prove()
    # The part's checksum is made to fit, and the old signature stays.
    path = copy.home / "manifest.json"
    document = json.loads(path.read_text())
    forged = copy.told_of_its_parts()
    path.write_bytes(sealed(forged, Trust()))
    facts = json.loads(path.read_text())
    kept = {"key": document["key"], "signature": document["signature"]}
    path.write_text(json.dumps({**facts, **kept}, sort_keys=True, indent=1) + "\n")
    with pytest.raises(BackupSignatureError, match="does not carry a signature of its facts"):
        backups.prove()
    # Even the owner's key signs it: the table's own count and digest are left.
    copy.seal(forged)
    with pytest.raises(BackupContentError, match=r"public\.orders has 1,999 rows instead of 2,000"):
        backups.prove()
    tables = tuple(
        one.model_copy(update={"rows": 1999}) if one.table == "public.orders" else one
        for one in forged.tables
    )
    copy.seal(forged.model_copy(update={"tables": tables}))
    with pytest.raises(
        BackupContentError, match=r"public\.orders has 1,999 rows, and not the same"
    ):
        backups.prove()
    assert backups.list().backups[0].state is BackupState.BROKEN


def test_prove_when_the_dump_has_another_value_then_its_table_is_named(
    copy: Shelved, write: Write, tmp_path: Path
) -> None:
    manifest = copy.manifest
    tables = tuple(
        one.model_copy(update={"digest": "0" * 32}) if one.table == "auth.users" else one
        for one in manifest.tables
    )
    copy.seal(manifest.model_copy(update={"tables": tables}))
    with pytest.raises(BackupContentError, match=r"auth\.users has 20 rows, and not the same"):
        opened(write(tmp_path)).prove()


def test_prove_when_the_dump_lacks_an_index_then_the_schema_is_another(
    copy: Shelved, write: Write, tmp_path: Path
) -> None:
    copy.seal(copy.manifest.model_copy(update={"schema_fingerprint": "0" * 64}))
    with pytest.raises(BackupContentError, match="another schema"):
        opened(write(tmp_path)).prove()


def test_prove_when_the_data_break_a_rule_then_it_is_named(
    copy: Shelved, write: Write, tmp_path: Path
) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace("customer IS NULL", "customer = 1"))
    backups = opened(path)
    with pytest.raises(BackupRuleError, match="no order without a customer: 40 rows"):
        backups.prove()
    assert backups.list().backups[0].state is BackupState.BROKEN


def test_prove_when_the_scratch_server_does_not_let_us_then_nothing_is_on_record(
    copy: Shelved, write: Write, tmp_path: Path, origin: DatabasePair
) -> None:
    backups = opened(write(tmp_path, f'  scratch_dsn: "{origin.source_app_dsn}"\n', scratch=False))
    with pytest.raises(BackupRestoreError, match=r"backup\.scratch_dsn needs a role"):
        backups.prove()
    assert backups.list().backups[0].state is BackupState.COMPLETE


def other_estate(backup: Shelved, manifest: BackupManifest) -> None:
    backup.seal(manifest.model_copy(update={"estate": "bakery"}))


def newer_failback(backup: Shelved, manifest: BackupManifest) -> None:
    backup.seal(manifest.model_copy(update={"version": 2}))


def wrong_key(backup: Shelved, manifest: BackupManifest) -> None:
    key = backup.folder / "another.key"
    certificates.generate(key)
    backup.seal(manifest, Trust(certificates.read_signing_key(key)))


def no_key(backup: Shelved, manifest: BackupManifest) -> None:
    backup.seal(manifest, Trust())


@pytest.mark.parametrize(
    ("forge", "error", "said"),
    [
        (other_estate, BackupEstateError, "is of the estate bakery, not of shop"),
        (newer_failback, BackupVersionError, "is of version 2; this failback knows up to 1"),
        (wrong_key, BackupSignatureError, "which this estate does not trust"),
        (no_key, BackupSignatureError, "is not signed"),
    ],
)
def test_prove_when_the_manifest_does_not_count_then_refused_and_left_alone(
    forge: Callable[[Shelved, BackupManifest], None],
    error: type[BackupError],
    said: str,
    copy: Shelved,
    write: Write,
    tmp_path: Path,
) -> None:
    forge(copy, copy.manifest)
    before = sorted(copy.home.rglob("*"))
    backups = opened(write(tmp_path))
    with pytest.raises(error, match=said):
        backups.prove()
    (listed,) = backups.list().backups
    assert listed.state is BackupState.BROKEN
    assert not listed.ours
    assert backups.prune(1, 1).left == (copy.id,)
    assert sorted(copy.home.rglob("*")) == before
