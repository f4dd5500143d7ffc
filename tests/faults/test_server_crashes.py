"""Servers that crash or run out of disk in the middle of a drain."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from failback.errors import UnreachableError
from failback.lab.accounts import server_account
from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    DatabasePair,
    PostgresPair,
    create_database,
    prepare_roles,
)
from failback.lab.postgres import PostgresServer
from failback.models.common import Outcome, Side
from failback.models.sync import DrainReport
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, drained, grow
from support.pairs import open_pair

pytestmark = [pytest.mark.servers, pytest.mark.slow]

PASSWORD = "test-only"


@pytest.fixture
def own_pair(tmp_path: Path) -> Iterator[Any]:
    """Servers of the test's own, which it may crash."""
    servers = PostgresPair(
        source=PostgresServer(16, tmp_path / "source"),
        target=PostgresServer(18, tmp_path / "target"),
    )
    try:
        for side in Side:
            server = servers.server(side)
            server.start()
            prepare_roles(server, side, {FAILBACK_ROLES[side]: PASSWORD, PRODUCT_ROLE: PASSWORD})
            create_database(server, side, "crashing")
        with open_pair(DatabasePair("crashing", servers, PASSWORD)) as pair:
            yield pair
    finally:
        for side in Side:
            servers.server(side).remove()


def batches(engine: ReverseSync) -> int:
    """How many were committed; whose session did not survive the crash asks again."""
    while True:
        try:
            held = engine.status().position
        except UnreachableError:
            continue
        return held.batch if held is not None else 0


def wait_for_batches(engine: ReverseSync, more: int, drain: "Future[DrainReport]") -> None:
    """Wait until the drain has committed some more batches."""
    began = batches(engine)
    while batches(engine) < began + more:
        assert not drain.done(), "the drain was over before the crash"


def test_drain_when_each_server_crashes_then_it_goes_on_and_both_sides_are_equal(
    own_pair: Any,
) -> None:
    own_pair.both(*TABLES)
    engine = own_pair.engine(batch_changes=500)
    looking = own_pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    grow(own_pair, 60_000, portion=500)
    with ThreadPoolExecutor(1) as pool:
        drain = pool.submit(drained, engine)
        for side in (Side.SOURCE, Side.TARGET, Side.SOURCE):
            wait_for_batches(looking, 3, drain)
            server = own_pair.databases.servers.server(side)
            server.stop(immediate=True)
            server.start()
        assert drain.result(120).outcome is Outcome.SUCCEEDED
    own_pair.assert_equal()
    assert looking.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert looking.drain(30).outcome is Outcome.SUCCEEDED
    assert looking.verify().outcome is Outcome.SUCCEEDED


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Callable[[int], None]]:
    """A file system of a few megabytes; yields what makes it larger."""
    account = server_account()
    owner = f",uid={account.uid},gid={account.gid}"
    folder.mkdir()

    def mount(options: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )

    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can mount a small file system")
    if mount(f"size={megabytes}m,mode=700{owner}").returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        yield lambda size: mount(f"remount,size={size}m").check_returncode()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_drain_when_the_sources_disk_is_full_then_it_says_so_and_goes_on_with_more_room(
    own_pair: Any,
) -> None:
    own_pair.both(*TABLES)
    home = own_pair.databases.servers.source.home
    with small_disk(home / "small", 4) as enlarge:
        with own_pair.admin(Side.SOURCE) as source:
            source.execute(f"CREATE TABLESPACE small LOCATION '{home / 'small'}'")
            for table in ("entry", "child", "event"):
                source.execute(f"ALTER TABLE {table} SET TABLESPACE small")
        engine = own_pair.engine()
        assert engine.arm().outcome is Outcome.SUCCEEDED
        grow(own_pair, 60_000)
        before = own_pair.contents(Side.SOURCE)
        with pytest.raises(UnreachableError, match="cannot go on") as raised:
            engine.drain(60)
        assert "No space left" in raised.value.cause
        assert own_pair.contents(Side.SOURCE) == before
        enlarge(256)
        assert engine.drain(60).outcome is Outcome.SUCCEEDED
        own_pair.assert_equal()
        with own_pair.admin(Side.SOURCE) as source:
            for table in ("event", "child", "entry"):
                source.execute(f"ALTER TABLE {table} SET TABLESPACE pg_default")
            source.execute("DROP TABLESPACE small")
