"""`failback backup …` as people read it: what was taken, what it lacks, and when it is proved."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from failback import certificates
from failback.cli.backup import _write_list, _write_taken
from failback.cli.backup_schedule import _write
from failback.cli.entry import run
from failback.models.backup_schedule import BackupRun, BackupSchedule, BackupScheduleStatus
from failback.models.backups import (
    BackedUpBucket,
    BackedUpTable,
    BackupList,
    BackupState,
    BackupSummary,
)
from failback.providers.backup import FakeBackups

from support.backups import CONFIGURATION

AT = datetime(2026, 1, 1, 3, tzinfo=UTC)
LOST = "The inventory of bucket reports: the endpoint has no bucket reports."


@pytest.fixture
def config(tmp_path: Path) -> Path:
    certificates.generate(tmp_path / "key")
    path = tmp_path / "failback.yaml"
    path.write_text(
        CONFIGURATION.format(estate="shop", dsn="dbname=app", key=tmp_path / "key", folder=tmp_path)
    )
    return path


def text(write: object, *facts: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=180, no_color=True)
    assert callable(write)
    write(console, *facts)
    return out.getvalue()


def test_taken_then_sessions_objects_and_what_it_lacks_are_told() -> None:
    taken = FakeBackups().take()
    bucket = BackedUpBucket(bucket="avatars", part="p", versioned=False, objects=7, bytes=2048)
    tables = (
        BackedUpTable(table="auth.sessions", rows=1200, digest=""),
        BackedUpTable(table="auth.users", rows=900, digest=""),
        BackedUpTable(table="public.orders", rows=5, digest=""),
    )
    shown = text(
        _write_taken,
        taken.model_copy(
            update={
                "tables": tables,
                "buckets": (bucket,),
                "applied_upto": "0/AB",
                "applied_except": ("public.notes",),
                "lacking": (LOST,),
                "configuration_keys": ("auth/issuer",),
            }
        ),
    )
    for told in (
        "2,105 rows in 3 tables",
        "900 users, 1,200 sessions",
        "7 objects of 2.0 KiB, listed without versions: what goes is gone",
        "1 values, by digest",
        LOST,
        "the target's changes up to 0/AB",
        "public.notes",
    ):
        assert told in shown, shown


def test_list_then_each_has_its_position_and_what_it_lacks() -> None:
    one = BackupSummary(
        id="b1", state=BackupState.PROVEN, proven_at=AT, proven_by="mira@db", applied_upto="0/AB"
    )
    other = BackupSummary(id="b2", state=BackupState.COMPLETE, lacking=(LOST,))
    shown = text(_write_list, BackupList(estate="shop", place="there", backups=(other, one)))
    assert "0/AB" in shown
    assert f"never restored; lacks {LOST}" in shown
    assert "restored 2026-01-01 03:00:00 UTC by mira@db" in shown


def test_schedule_when_paused_or_failed_then_said_first() -> None:
    status = BackupScheduleStatus(
        id="backup-proof/shop",
        schedule=BackupSchedule(every_seconds=21_600, take=True, keep=14, keep_proven=3),
        next_at=(AT,),
        last=BackupRun(workflow_id="w", started_at=AT, state="failed", problem="b2 does not hold"),
        skipped=2,
    )
    shown = text(_write, status)
    for told in ("shop: every 6 h", "failed b2 does not hold", "14, and 3 proven", "2 times"):
        assert told in shown, shown
    shown = text(_write, status.model_copy(update={"paused": True, "note": "the database moves"}))
    assert "shop: paused" in shown
    assert "the database moves" in shown
    assert "next" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "A schedule has one rhythm"),
        (("--every", "6h", "--cron", "0 3 * * *"), "A schedule has one rhythm"),
        (("--every", "six hours"), "no time between two runs"),
        (("--every", "0h"), "no time between two runs"),
    ],
)
def test_schedule_when_its_times_make_no_sense_then_said_before_anything_is_asked(
    words: tuple[str, ...], said: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backup", "schedule", *words, "--config", str(config)]) == 2
    assert said in capsys.readouterr().err


def test_schedule_when_supabase_takes_the_backups_then_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = "supabase: {ref: abcdefghijklmnopqrst, access_token: sbp_1}\n"
    config.write_text(f"{config.read_text()}  provider: supabase_pitr\n{project}")
    assert run(["backup", "schedule", "--every", "6h", "--config", str(config)]) == 2
    assert "cannot be proved" in capsys.readouterr().err


def test_schedule_when_temporal_is_away_then_said(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f"{config.read_text()}temporal: {{address: '127.0.0.1:1'}}\n")
    for words in (("schedule", "--every", "6h"), ("schedule", "show"), ("schedule", "remove")):
        assert run(["backup", *words, "--config", str(config)]) == 1
        assert "does not answer" in capsys.readouterr().err
