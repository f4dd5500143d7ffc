"""What an assessment finds on a real server that was damaged."""

import shutil

import psycopg
import pytest

from failback.lab.damage import corrupt
from failback.lab.processes import free_port
from failback.models.common import Outcome
from failback.models.recovery import Assessment, Condition, Part

from support.backups import opened
from support.recoveries import Damaged

pytestmark = pytest.mark.servers


def _evidence(found: Assessment, part: Part, name: str) -> str:
    """What failed, by its name."""
    (seen,) = [
        item
        for one in found.parts
        if one.part is part
        for item in one.evidence
        if item.name == name and item.outcome is Outcome.FAILED
    ]
    return seen.detail


def test_assessment_when_nothing_is_wrong_then_healthy_and_every_look_is_evidence(
    estate: Damaged,
) -> None:
    found = estate.recovery().assess()
    assert found.condition(Part.DATABASE) is Condition.HEALTHY
    names = {item.name for one in found.parts for item in one.evidence}
    assert names >= {
        *("can connect", "can write", "schemas are there", "tables are there"),
        *("tables can be read", "b-trees can be read", "page checksums", "rows against the backup"),
        *("schema is that of the backup", "auth tables"),
    }
    assert found.target_answers
    assert found.choice.backup
    assert found.choice.rows > 1000
    # Without an archive everything since the backup would be lost.
    assert found.loss_seconds is not None
    assert found.loss_seconds > 0
    assert found.restore_seconds is not None
    # Nobody says what should be in buckets and functions.
    assert found.condition(Part.STORAGE) is Condition.UNKNOWN
    assert found.condition(Part.FUNCTIONS) is Condition.UNKNOWN


def test_assessment_when_a_schema_was_dropped_then_database_corrupted_and_auth_gone(
    estate: Damaged,
) -> None:
    estate.run("DROP SCHEMA auth CASCADE")
    found = estate.recovery().assess()
    assert found.condition(Part.DATABASE) is Condition.CORRUPTED
    assert found.condition(Part.AUTH) is Condition.GONE
    assert "auth" in _evidence(found, Part.DATABASE, "schemas are there")
    assert "auth.users" in _evidence(found, Part.DATABASE, "tables are there")


def test_assessment_when_a_table_was_emptied_then_corrupted_and_the_table_is_named(
    estate: Damaged,
) -> None:
    estate.run("TRUNCATE public.document_revisions")
    found = estate.recovery().assess()
    assert found.condition(Part.DATABASE) is Condition.CORRUPTED
    told = _evidence(found, Part.DATABASE, "rows against the backup")
    assert told == "public.document_revisions has 0 rows, and had 1,200"


def test_assessment_when_an_index_lacks_an_entry_then_corrupted_and_the_index_is_named(
    estate: Damaged,
) -> None:
    estate.run(
        "UPDATE pg_index SET indisready = false"
        " WHERE indexrelid = 'public.workspaces_pkey'::regclass",
        "INSERT INTO public.workspaces (slug, name) SELECT n::text, 'n'"
        " FROM generate_series(1, 9) AS n",
        "UPDATE pg_index SET indisready = true"
        " WHERE indexrelid = 'public.workspaces_pkey'::regclass",
    )
    found = estate.recovery().assess()
    assert found.condition(Part.DATABASE) is Condition.CORRUPTED
    told = _evidence(found, Part.DATABASE, "b-trees can be read")
    assert told == "public.workspaces_pkey has 0 entries for 9 rows"


def test_assessment_when_pages_were_overwritten_then_table_and_index_are_named(
    estate: Damaged,
) -> None:
    corrupt(estate.source, estate.name, "public", "documents", 0)
    corrupt(estate.source, estate.name, "public", "document_revisions_document_idx", 1)
    found = estate.recovery().assess()
    assert found.condition(Part.DATABASE) is Condition.CORRUPTED
    heap = _evidence(found, Part.DATABASE, "tables can be read")
    index = _evidence(found, Part.DATABASE, "b-trees can be read")
    assert "public.documents: invalid page in block 0" in heap
    assert "public.document_revisions_document_idx: invalid page in block 1" in index
    assert "pages failed" in _evidence(found, Part.DATABASE, "page checksums")


def test_assessment_when_the_cluster_is_gone_then_gone_and_the_loss_is_estimated(
    estate: Damaged,
) -> None:
    found = estate.recovery(f"postgresql://postgres:x@127.0.0.1:{free_port()}/product").assess()
    assert found.condition(Part.DATABASE) is Condition.GONE
    assert found.condition(Part.AUTH) is Condition.GONE
    assert found.choice.backup
    assert "3 tries" in _evidence(found, Part.DATABASE, "can connect")


def test_assessment_when_the_password_is_wrong_then_unknown(estate: Damaged) -> None:
    dsn = f"postgresql://postgres:wrong@127.0.0.1:{estate.source.port}/{estate.name}"
    found = estate.recovery(dsn).assess()
    assert found.condition(Part.DATABASE) is Condition.UNKNOWN


def test_assessment_when_the_database_only_reads_then_degraded(estate: Damaged) -> None:
    estate.run(f"ALTER DATABASE {estate.name} SET default_transaction_read_only = on")
    with psycopg.connect(estate.source.admin_dsn(estate.name)) as session:
        assert session.execute("SHOW transaction_read_only").fetchone() == ("on",)
    # Whoever asks may choose to write: only the default was changed.
    assert estate.recovery().assess().condition(Part.DATABASE) is Condition.HEALTHY


def test_backup_when_the_newest_is_unreadable_then_the_second_is_taken_and_the_first_named(
    estate: Damaged,
) -> None:
    (second,) = (path.name for path in (estate.store / "shop").iterdir())
    backups = opened(estate.path())
    newest = backups.take().id
    unproven = estate.recovery().choose_backup()
    assert (unproven.backup, [item.name for item in unproven.passed_over]) == (second, [newest])
    assert "nobody has restored it" in unproven.passed_over[0].detail
    backups.prove(newest)
    backups.close()
    assert estate.recovery().choose_backup().backup == newest
    (estate.store / "shop" / newest / "database" / "toc.dat").unlink()
    choice = estate.recovery().choose_backup()
    assert (choice.backup, [item.name for item in choice.passed_over]) == (second, [newest])
    assert "toc.dat" in choice.passed_over[0].detail


def test_backup_when_none_is_proven_then_none_is_taken_and_the_command_is_told(
    estate: Damaged,
) -> None:
    (only,) = (estate.store / "shop").iterdir()
    (only / "proof.json").unlink()
    choice = estate.recovery().choose_backup()
    assert not choice.backup
    assert "failback backup prove" in choice.detail
    shutil.rmtree(only)
    assert "no backup of shop" in estate.recovery().choose_backup().detail
