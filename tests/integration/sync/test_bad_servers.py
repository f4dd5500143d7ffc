"""Servers that fail, refuse, or are set up in a way of their own: cause, cure, and nothing lost."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from failback.errors import MissingRightError, TableRefusedError, UnreachableError
from failback.lab.databases import PostgresPair
from failback.models.common import Outcome, Side
from failback.reverse_sync import rights
from failback.reverse_sync.copying import copied_out
from failback.reverse_sync.engine import ReverseSync

from support import losses

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

BIG = "CREATE TABLE big (id int PRIMARY KEY, v text)"
ROWS = "INSERT INTO big SELECT n, repeat(md5(n::text), 100) FROM generate_series(1, 2000) AS n"


def test_arm_when_a_server_is_too_old_then_it_is_refused_before_it_is_asked_for_more(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.both(BIG)
    monkeypatch.setattr(rights, "OLDEST", 170_000)
    with pytest.raises(MissingRightError, match="the source is PostgreSQL 16, which is too old"):
        pair.engine().arm()


def test_arm_when_a_slot_is_forced_without_the_log_for_it_then_the_setting_is_told_and_nothing_made(
    postgres_pair: PostgresPair, tmp_path: Path
) -> None:
    with losses.own_target(postgres_pair, tmp_path, wal_level="replica") as pair:
        pair.both(BIG)
        engine = pair.engine()
        with pytest.raises(MissingRightError, match="wal_level of the target is replica") as raised:
            engine.arm(capture="slot")
        assert "ALTER SYSTEM SET wal_level = logical, and restart it" in raised.value.cure
        made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'failback'"
        assert [pair.rows(side, made) for side in Side] == [[(0,)], [(0,)]]

        report = engine.arm()
        assert (report.outcome, report.capture) == (Outcome.SUCCEEDED, "changelog"), report
        assert "wal_level of the target is replica" in report.why
        with pair.target() as target:
            target.execute(ROWS)
        assert engine.drain(30).outcome is Outcome.SUCCEEDED
        pair.assert_equal()


@pytest.mark.parametrize("side", Side)
def test_drain_when_a_connection_is_cut_inside_copy_then_the_side_is_named_and_nothing_is_lost(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    engine = armed(BIG)
    pair.run(Side.TARGET, ROWS)

    def cut(*arguments: Any) -> Iterator[list[bytes]]:
        for number, block in enumerate(copied_out(*arguments)):
            if number == 1:
                monkeypatch.undo()
                killed = pair.rows(
                    side,
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE"
                    " datname = current_database() AND query LIKE 'COPY%' AND state = 'active'",
                )
                assert killed == [(True,)]
            yield block

    monkeypatch.setattr("failback.reverse_sync.apply.copied_out", cut)
    with pytest.raises(UnreachableError, match=f"{side.value} database .* was lost"):
        engine.drain(30)
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM big") == [(0,)]
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_sync_when_roles_have_timeouts_of_their_own_then_they_do_not_stop_it(
    pair: Any,
) -> None:
    pair.both(BIG)
    roles = {Side.SOURCE: "postgres", Side.TARGET: "failback"}
    settings = [
        "statement_timeout = '20ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '200ms'",
        "idle_session_timeout = '200ms'",
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "search_path = nowhere",
        "session_replication_role = origin",
    ]
    name = pair.databases.name
    for side, role in roles.items():
        with pair.admin(side) as admin:
            for setting in settings:
                admin.execute(f"ALTER ROLE {role} IN DATABASE {name} SET {setting}")
    with pair.admin(Side.TARGET) as admin:
        admin.execute(f"ALTER ROLE failback IN DATABASE {name} SET transaction_timeout = '50ms'")
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    with pair.target() as target:
        target.execute("SET ROLE app_owner")
        target.execute(ROWS)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


@pytest.mark.parametrize("column", ['COLLATE "C"', 'COLLATE "{icu}"', 'COLLATE "{libc}"', ""])
def test_sync_when_collations_sort_differently_then_rows_are_found_all_the_same(
    pair: Any, column: str
) -> None:
    found = {}
    for kind, provider in (("icu", "i"), ("libc", "c")):
        names = [
            set(
                pair.rows(
                    side,
                    "SELECT collname FROM pg_collation WHERE collprovider = "
                    f"'{provider}' AND collname ~ '^(de|en|sv|tr)[-_]'"
                    " AND collencoding IN (-1, 6)",
                )
            )
            for side in Side
        ]
        shared = sorted(set.intersection(*names))
        if f"{{{kind}}}" in column and not shared:
            pytest.skip(f"the servers share no {kind} collation")
        found[kind] = shared[0][0] if shared else ""
    pair.run(Side.SOURCE, f"CREATE TABLE word (k text {column.format(**found)} PRIMARY KEY, v int)")
    pair.run(Side.TARGET, 'CREATE TABLE word (k text COLLATE "C" PRIMARY KEY, v int)')
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    words = "'ä', 'a', 'A', 'z', 'Z', 'é', 'e', '-a', ' a', 'ss', 'ß', 'i', 'I'"
    pair.run(
        Side.TARGET,
        f"INSERT INTO word SELECT w || n, n FROM unnest(ARRAY[{words}]) AS w,"
        " generate_series(1, 300) AS n",
    )
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.run(
        Side.TARGET,
        "UPDATE word SET v = -v WHERE k < 'b'",
        "DELETE FROM word WHERE k > 'z'",
        "UPDATE word SET k = k || '!' WHERE v % 7 = 0",
    )
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    report = engine.verify()
    assert report.outcome is Outcome.SUCCEEDED, report


def test_arm_when_the_source_takes_different_keys_for_equal_then_it_is_refused(pair: Any) -> None:
    loose = (
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    try:
        pair.run(Side.SOURCE, loose)
    except psycopg.Error as error:
        pytest.skip(f"the source has no ICU: {error}")
    pair.run(Side.SOURCE, "CREATE TABLE word (k text COLLATE loose PRIMARY KEY)")
    pair.run(Side.TARGET, "CREATE TABLE word (k text PRIMARY KEY)")
    with pytest.raises(Exception, match="takes texts of k for equal on the source"):
        pair.engine().arm()


def test_batch_when_row_security_is_forced_on_the_owner_then_the_right_is_named(pair: Any) -> None:
    pair.both(
        BIG, "ALTER TABLE big ENABLE ROW LEVEL SECURITY", "ALTER TABLE big FORCE ROW LEVEL SECURITY"
    )
    with pytest.raises(MissingRightError, match=r"hides rows of public\.big") as raised:
        pair.engine().arm()
    assert "ALTER ROLE failback BYPASSRLS" in raised.value.cure
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER ROLE failback BYPASSRLS")
    try:
        engine = pair.engine()
        assert engine.arm().outcome is Outcome.SUCCEEDED
        with pair.target() as target:
            target.execute(ROWS)
        assert engine.drain(30).outcome is Outcome.SUCCEEDED
        pair.assert_equal()
    finally:
        with pair.admin(Side.TARGET) as admin:
            admin.execute("ALTER ROLE failback NOBYPASSRLS")


def test_arm_when_only_an_unlogged_table_is_named_then_it_is_refused_and_a_temporary_is_none(
    pair: Any,
) -> None:
    pair.both("CREATE UNLOGGED TABLE fast (id int PRIMARY KEY)")
    with pair.target() as target:
        target.execute("CREATE TEMPORARY TABLE passing (id int PRIMARY KEY)")
        with pytest.raises(TableRefusedError, match=r"public\.fast is unlogged") as raised:
            pair.engine().arm()
    assert "passing" not in str(raised.value)


@pytest.fixture
def small_disk(pair: Any, tmp_path: Path) -> Iterator[str]:
    """A tablespace of the source on a disk of 24 MB; needs root for the mount."""
    server = pair.databases.servers.source
    folder = server.home / f"small_{tmp_path.name}"
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()
    owner = server.home.stat()
    subprocess.run(
        [
            mount,
            "-t",
            "tmpfs",
            "-o",
            f"size=24m,uid={owner.st_uid},gid={owner.st_gid},mode=0700",
            "tmpfs",
            str(folder),
        ],
        check=True,
    )
    name = f"small_{pair.databases.name}"
    try:
        with pair.admin(Side.SOURCE) as admin:
            admin.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            admin.execute(f"GRANT CREATE ON TABLESPACE {name} TO postgres")
        yield name
    finally:
        with pair.admin(Side.SOURCE) as admin:
            admin.execute("DROP TABLE IF EXISTS big")
            with contextlib.suppress(psycopg.Error):
                admin.execute("CHECKPOINT")
            admin.execute(f"DROP TABLESPACE {name}")
        # The server keeps files open until its next checkpoint.
        subprocess.run([umount, "-l", str(folder)], check=True)
        folder.rmdir()


def test_drain_when_the_source_is_out_of_disk_then_it_says_so_and_goes_on_afterwards(
    pair: Any, small_disk: str
) -> None:
    pair.run(Side.SOURCE, f"{BIG} TABLESPACE {small_disk}")
    pair.run(Side.TARGET, BIG, "ALTER TABLE big ALTER v SET STORAGE EXTERNAL")
    pair.run(Side.SOURCE, "ALTER TABLE big ALTER v SET STORAGE EXTERNAL")
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    pair.run(
        Side.TARGET,
        "INSERT INTO big SELECT n, repeat(md5(n::text), 1000) FROM generate_series(1, 900) AS n",
    )
    with pytest.raises(
        UnreachableError, match=r"source .* cannot go on: .*No space left"
    ) as raised:
        engine.drain(30)
    assert "run out of" in raised.value.cure
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM big") == [(0,)]
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("ALTER TABLE big SET TABLESPACE pg_default")
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
