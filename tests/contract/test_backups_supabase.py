"""Supabase's own backups, told of by the management API and never called proven."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failback.errors import (
    BackupError,
    BackupNotFoundError,
    BackupPartMissingError,
    ConfigurationError,
    CredentialsError,
)
from failback.models.backups import BackupList, BackupState
from failback.providers.backup import open_backups
from failback.providers.backup.supabase import SupabaseBackups
from failback.sections.backup import BackupConfig

from support.fake_estate import estate_of
from support.management import REF, RunningManagement, serving


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[RunningManagement]:
    async with serving(tmp_path) as running:
        yield running
    running.watch.hold()


@pytest.fixture
def backups(management: RunningManagement) -> SupabaseBackups:
    return SupabaseBackups("shop", management.client)


async def listed(backups: SupabaseBackups) -> BackupList:
    return await asyncio.to_thread(backups.list)


async def test_list_then_each_is_named_with_the_span_of_time_and_none_is_proven(
    backups: SupabaseBackups,
) -> None:
    found = await listed(backups)
    assert f"project {REF}, any moment from 2" in found.place
    assert found.newest_proven is None
    assert {one.state for one in found.backups} == {BackupState.COMPLETE}
    times = [one.taken_at for one in found.backups if one.taken_at is not None]
    assert len(times) == len(found.backups)
    assert times == sorted(times, reverse=True)


async def test_prove_then_says_that_supabase_restores_in_place_alone(
    backups: SupabaseBackups,
) -> None:
    newest = (await listed(backups)).backups[0]
    with pytest.raises(BackupError, match=f"{newest.id} cannot be proved.*in place alone") as said:
        await asyncio.to_thread(backups.prove)
    assert "new project" in said.value.cure
    with pytest.raises(BackupNotFoundError):
        await asyncio.to_thread(backups.prove, "20200101T000000Z")
    assert (await listed(backups)).backups[0].state is BackupState.COMPLETE


async def test_take_and_prune_then_say_who_does_that(backups: SupabaseBackups) -> None:
    with pytest.raises(BackupError, match="Supabase takes this project's backups itself"):
        await asyncio.to_thread(backups.take)
    report = await asyncio.to_thread(backups.prune, 1, 1)
    assert (report.deleted, "project's plan" in report.detail) == ((), True)
    with pytest.raises(BackupPartMissingError):
        next(backups.inventory("20260101T000000Z", "avatars"))


async def test_list_when_the_token_is_wrong_then_said(management: RunningManagement) -> None:
    backups = SupabaseBackups("shop", lambda: management.client(access_token="sbp_another"))
    with pytest.raises(CredentialsError):
        await listed(backups)


def test_estate_when_it_names_no_project_then_said() -> None:
    estate = estate_of("shop", "127.0.0.1:1", backup={"provider": "supabase_pitr"})
    with pytest.raises(ConfigurationError, match="names no Supabase project"):
        open_backups(estate)
    with pytest.raises(ValueError, match="go together"):
        BackupConfig(provider="pgbackrest", folder=Path("a"))
