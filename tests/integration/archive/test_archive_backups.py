"""From the configuration: a real backup, restored by pg_restore, and the archive on top of it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from failback import certificates
from failback.change_archive.opening import open_archive
from failback.cli.entry import run
from failback.config import load
from failback.errors import ArchiveChangedError, ConfigurationError
from failback.models.common import Outcome, Side
from failback.providers.backup import open_backups
from failback.providers.backup.programs import Programs
from failback.providers.backup.taking import DUMP

from support.archives import ArchivedEstate
from support.pairs import contents_of

pytestmark = pytest.mark.servers

CONFIGURATION = """
estate: {estate}
source: {{dsn: "{source}"}}
target: {{dsn: "{target}"}}
traffic:
  balancer: {{runtime_api: "tcp://127.0.0.1:1"}}
  routes: {{database: [{{backend: database}}]}}
certificates: {{signing_key: "{key}", directory: "{folder}"}}
backup: {{folder: "{folder}/store", parallel: 2, pg_bin: "{programs}"}}
"""


@pytest.fixture
def configured(estate: ArchivedEstate, tmp_path: Path) -> Path:
    """The estate's configuration file, signing, with an archive beside its backups."""
    estate.archive().disarm()
    key = tmp_path / "key"
    certificates.generate(key)
    databases = estate.pair.databases
    path = tmp_path / "failback.yaml"
    path.write_text(
        CONFIGURATION.format(
            estate=estate.pair.settings.estate,
            source=databases.source_dsn,
            target=databases.target_dsn,
            key=key,
            folder=tmp_path,
            programs=databases.servers.source.programs,
        )
        + "archive: {idle_seconds: 0.001}\n"
    )
    return path


@pytest.fixture
def beside(estate: ArchivedEstate) -> Iterator[str]:
    """A superuser's connection string of an empty database on the source's server."""
    server, name = estate.server(Side.SOURCE), f"{estate.pair.databases.name}_beside"
    with psycopg.connect(server.admin_dsn(), autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield server.admin_dsn(name)
    with psycopg.connect(server.admin_dsn(), autocommit=True) as session:
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _archive(path: Path) -> Any:
    archive = open_archive(load(path))
    assert archive is not None
    return closing(archive)


def test_restore_when_a_real_backup_is_followed_then_it_is_the_target(
    estate: ArchivedEstate,
    configured: Path,
    beside: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = load(configured)
    with _archive(configured) as archive:
        archive.arm()
        estate.write("INSERT INTO person (name) VALUES ('between')")
        estate.pair.engine().drain(10.0)
        with closing(open_backups(config, configured)) as backups:
            backup = backups.take().id
        estate.write(
            "DELETE FROM visit WHERE person % 3 = 0",
            "TRUNCATE line",
            "INSERT INTO line VALUES ('after', 1)",
        )
        archive.archive_once()
        folder = tmp_path / "store" / config.estate / backup / DUMP
        Programs(estate.server(Side.SOURCE).programs).run(
            "pg_restore", ["--format=directory", "--exit-on-error", folder], dsn=beside
        )
        report = archive.replay(backup, beside)
        assert report.outcome is Outcome.SUCCEEDED, report
    with psycopg.connect(beside, autocommit=True) as session:
        assert contents_of(session) == estate.pair.contents(Side.TARGET)
    named = ["--config", str(configured), "--json"]
    assert run(["archive", "status", "--backup", backup, *named]) == 0
    assert json.loads(capsys.readouterr().out)["joins_backup"]
    assert run(["archive", "now", *named]) == 0
    assert json.loads(capsys.readouterr().out)["segments"] >= 2
    assert run(["archive", "prune", *named]) == 0
    assert json.loads(capsys.readouterr().out)["keep_from"] == backup
    # What somebody else signed is no part of the archive.
    other = tmp_path / "other"
    certificates.generate(other)
    text = configured.read_text().replace(f'"{tmp_path / "key"}"', f'"{other}"')
    forged = tmp_path / "forged.yaml"
    forged.write_text(text)
    with _archive(forged) as archive, pytest.raises(ArchiveChangedError, match="does not trust"):
        archive.state()


def test_opening_when_there_is_no_place_for_it_then_the_section_is_named(configured: Path) -> None:
    text = configured.read_text()
    configured.write_text("\n".join(one for one in text.splitlines() if "backup:" not in one))
    with pytest.raises(ConfigurationError, match="no section backup"):
        open_archive(load(configured))
    configured.write_text("\n".join(one for one in text.splitlines() if "archive:" not in one))
    assert open_archive(load(configured)) is None
    assert run(["archive", "status", "--config", str(configured)]) == 2
