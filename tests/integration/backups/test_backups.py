"""Backups of a real server: taken in one moment, proved on servers of their own, and refused."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from failback.cli.entry import run
from failback.errors import (
    BackupToolError,
)
from failback.lab.databases import DatabasePair
from failback.models.backups import BackupState
from failback.providers.backup.programs import Programs
from failback.providers.backup.scratch import scratch_server

from support.backups import Shelved, Write, opened
from support.s3_server import ACCESS_KEY, SECRET_KEY, s3_server

pytestmark = pytest.mark.servers

STARTER = """
import sys, time
from pathlib import Path
from failback.providers.backup.programs import Programs
from failback.providers.backup.scratch import scratch_server
with scratch_server(Programs(Path(sys.argv[1])), Path(sys.argv[2]), "nobody") as dsn:
    print(dsn, flush=True)
    time.sleep(60)
"""


def test_prove_when_the_backup_is_sound_then_stamped_by_a_server_of_its_own(
    copy: Shelved, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The server's user has to enter every folder above its data.
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o755)
        config = str(write(tmp_path, f'  work_directory: "{work}"\n', scratch=False))
        assert run(["backup", "list", "--config", config]) == 1
        assert "never restored" in capsys.readouterr().out
        assert run(["backup", "prove", "--config", config, "--json"]) == 0, capsys.readouterr()
        proof = json.loads(capsys.readouterr().out)
        assert proof["proven"] is True
        assert proof["rows"] == 50 + 2000 + 30 + 1 + 20
        assert proof["tables"] == 5
        assert proof["rules"] == ["no order without a customer"]
        assert run(["backup", "list", "--config", config]) == 0
        assert f"{copy.id} is the newest proven backup" in capsys.readouterr().out
        assert list(Path(work).iterdir()) == []


def test_scratch_server_when_its_starter_was_killed_then_the_next_one_stops_it(
    origin: DatabasePair,
) -> None:
    programs = origin.servers.source.programs
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o755)
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, programs, work], stdout=subprocess.PIPE, text=True
        )
        assert starter.stdout is not None
        dsn = starter.stdout.readline().strip()
        starter.kill()
        starter.communicate()
        psycopg.connect(dsn).close()
        with (
            scratch_server(Programs(programs), Path(work), "nobody") as second,
            psycopg.connect(second),
            pytest.raises(psycopg.OperationalError),
        ):
            psycopg.connect(dsn)


def test_take_when_rows_change_meanwhile_then_dump_and_digests_are_of_one_moment(
    origin: DatabasePair, write: Write, tmp_path: Path
) -> None:
    backups = opened(write(tmp_path))
    busy, over = threading.Event(), threading.Event()

    def write_on() -> int:
        with psycopg.connect(origin.source_admin_dsn, autocommit=True) as session:
            for number in itertools.count(2):
                session.execute('INSERT INTO public."Odd name.x" VALUES (%s, %s)', [number, "b"])
                busy.set()
                if over.is_set():
                    return number
        raise AssertionError

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_on)
        try:
            assert busy.wait(10.0)
            manifest = backups.take()
        finally:
            over.set()
            written = writer.result()
    try:
        rows = {one.table: one.rows for one in manifest.tables}
        assert 2 <= rows["public.Odd name.x"] < written
        assert backups.prove().proven
    finally:
        with psycopg.connect(origin.source_admin_dsn, autocommit=True) as session:
            session.execute('DELETE FROM public."Odd name.x" WHERE id > 1')


def test_backup_when_kept_in_a_bucket_then_taken_proved_and_pruned(
    write: Write, tmp_path: Path
) -> None:
    with s3_server(tmp_path / "s3") as bucket:
        more = (
            f"  s3: {{bucket: {bucket.bucket}, endpoint: '{bucket.endpoint}', path_style: true,"
            f" access_key: '{ACCESS_KEY}', secret_key: '{SECRET_KEY}'}}\n"
        )
        path = write(tmp_path, more)
        path.write_text(
            "\n".join(one for one in path.read_text().splitlines() if "  folder: " not in one)
        )
        for name in ("avatars", "reports"):
            (tmp_path / "s3" / "buckets" / name).mkdir()
        (tmp_path / "s3" / "buckets" / "avatars" / "mira.webp").write_bytes(b"a picture")
        (tmp_path / "app.env").write_text("ISSUER=https://source.example\n")
        side = (
            f"{{url: '{bucket.endpoint}', access_key: '{ACCESS_KEY}', secret_key: '{SECRET_KEY}'}}"
        )
        with path.open("a") as file:
            file.write(f"\nstorage:\n  source: {side}\n  target: {side}\n")
            file.write("  buckets: [{source: avatars, target: a}, {source: lost, target: b}]\n")
            file.write(f"configuration:\n  places: {{app: {{env_file: '{tmp_path}/app.env'}}}}\n")
            file.write("  keys: [{name: issuer, place: app, key: ISSUER,")
            file.write(" source: 'https://source.example', target: 'https://target.example'}]\n")
        backups = opened(path)
        older = backups.take()
        assert [(one.bucket, one.objects, one.bytes) for one in older.buckets] == [
            ("avatars", 1, 9)
        ]
        assert [one.key for one in backups.inventory(older.id, "avatars")] == ["mira.webp"]
        assert older.configuration_keys == ("settings/issuer",)
        assert [one.partition(":")[0] for one in older.lacking] == ["The inventory of bucket lost"]
        assert (older.auth, older.applied_upto) == ({"users": 20}, "")
        keys = next((tmp_path / "s3").rglob("keys.json")).read_text()
        assert "has the source's value (sha256 " in keys
        assert "source.example" not in keys
        configuration = list((tmp_path / "s3").rglob("failback.yaml"))
        assert [one for one in configuration if SECRET_KEY in one.read_text()] == []
        assert backups.prove().objects == 1
        newer = backups.take()
        assert [one.state for one in backups.list().backups] == [
            BackupState.COMPLETE,
            BackupState.PROVEN,
        ]
        assert set(backups.prune(1, 1).kept) == {older.id, newer.id}
        backups.prove()
        assert backups.prune(1, 1).deleted == (older.id,)
        assert [one.id for one in backups.list().backups] == [newer.id]
        backups.close()


def test_take_when_a_table_may_not_be_read_then_nothing_is_left(
    origin: DatabasePair, write: Write, tmp_path: Path
) -> None:
    backups = opened(write(tmp_path, f'  dsn: "{origin.source_app_dsn}"\n'))
    with psycopg.connect(origin.source_admin_dsn, autocommit=True) as session:
        session.execute("REVOKE SELECT ON public.customers FROM product")
        try:
            with pytest.raises(Exception, match=r"customers|orders") as raised:
                backups.take()
        finally:
            session.execute("GRANT SELECT ON public.customers TO product")
    assert "test-only" not in str(raised.value)
    assert list((tmp_path / "store").rglob("*")) == []


def test_take_when_pg_dump_is_older_than_the_server_then_said_before_anything_is_dumped(
    origin: DatabasePair, write: Write, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.2'\n")
    (programs / "pg_dump").chmod(0o755)
    path = write(tmp_path)
    path.write_text(path.read_text().replace(str(origin.servers.source.programs), str(programs)))
    with pytest.raises(BackupToolError, match="pg_dump is of version 13, the server of version 16"):
        opened(path).take()


def test_take_when_there_are_no_programs_then_said_where_they_were_looked_for(
    write: Write, tmp_path: Path, origin: DatabasePair
) -> None:
    path = write(tmp_path)
    path.write_text(
        path.read_text().replace(str(origin.servers.source.programs), f"{tmp_path}{os.sep}none")
    )
    with pytest.raises(BackupToolError, match="There is no program pg_dump in"):
        opened(path).take()
