"""One suite for whoever takes backups: in memory, by pg_dump, and by pgBackRest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from failback import certificates
from failback.backup_ports import Backups
from failback.config import load
from failback.errors import (
    BackupError,
    BackupNotFoundError,
    BackupPartChangedError,
    BackupPartMissingError,
    BackupRuleError,
    BackupToolError,
)
from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.backups import BackupState
from failback.models.common import Side
from failback.providers.backup import FakeBackups, open_backups

from support import pgbackrest
from support.backups import CONFIGURATION

SCHEMA = "CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL);"
SCHEMA += "INSERT INTO orders SELECT n, n % 3 FROM generate_series(1, 100) AS n"


@dataclass
class Subject:
    """Backups of something with a hundred rows."""

    backups: Backups
    damage: Callable[[str], None]
    """Makes a backup one that does not hold."""
    prunes: bool
    """Whether anybody but the provider may delete one."""


@pytest.fixture(scope="module")
def dumped(postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    pair = DatabasePair("contract_backups", postgres_pair, "test-only")
    create_database(postgres_pair.source, Side.SOURCE, pair.name)
    with psycopg.connect(pair.source_dsn, autocommit=True) as session:
        session.execute(SCHEMA)
    yield pair
    drop_database(postgres_pair.source, pair.name)


@pytest.fixture(scope="module")
def stanza() -> Iterator[pgbackrest.Stanza]:
    folder = pgbackrest.programs()
    if folder is None:
        pytest.skip("pgBackRest is not installed, or no PostgreSQL that it knows")
    with pgbackrest.stanza(folder) as made:
        made.execute(SCHEMA)
        yield made


def written(folder: Path, dsn: str, more: str) -> Path:
    certificates.generate(folder / "key")
    text = CONFIGURATION.format(estate="shop", dsn=dsn, key=folder / "key", folder=folder)
    path = folder / "failback.yaml"
    path.write_text(text + more)
    return path


@pytest.fixture(
    params=[
        "fake",
        pytest.param("dump", marks=pytest.mark.servers),
        pytest.param("pgbackrest", marks=pytest.mark.servers),
    ]
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "fake":
        fake = FakeBackups()
        yield Subject(fake, fake.unsound.add, prunes=True)
        return
    if request.param == "dump":
        pair: DatabasePair = request.getfixturevalue("dumped")
        server = pair.servers.source
        more = f'  pg_bin: "{server.programs}"\n  scratch_dsn: "{server.admin_dsn()}"\n'
        path = written(tmp_path, pair.source_dsn, f"{more}  exclude_schemas: [auth]\n")

        def damage(backup: str) -> None:
            store = tmp_path / "store" / "shop" / backup / "database"
            next(store.glob("*.gz")).write_bytes(b"other bytes")

        made = Subject(open_backups(load(path), path), damage, prunes=True)
    else:
        kept: pgbackrest.Stanza = request.getfixturevalue("stanza")
        path = written(tmp_path, kept.dsn, of_stanza(kept))
        made = Subject(open_backups(load(path)), kept.flip_a_byte, prunes=False)
    yield made
    made.backups.close()


def of_stanza(kept: pgbackrest.Stanza) -> str:
    config = kept.config
    return (
        f'  pg_bin: "{kept.programs}"\n  work_directory: "{kept.home}"\n  provider: pgbackrest\n'
        f"  pgbackrest: {{stanza: {config.stanza}, config: '{config.config}', type: full}}\n"
    )


def test_backup_when_taken_then_listed_proved_damaged_and_told_of(subject: Subject) -> None:
    with pytest.raises(BackupNotFoundError):
        subject.backups.prove("20200101-000000F")
    taken = subject.backups.take()
    newest = subject.backups.list().backups[0]
    assert (newest.id, newest.state) == (taken.id, BackupState.COMPLETE)
    assert newest.taken_at == taken.taken_at
    proof = subject.backups.prove()
    assert (proof.backup, proof.proven) == (taken.id, True)
    found = subject.backups.list().newest_proven
    assert found is not None
    assert (found.id, found.proven_at) == (taken.id, proof.at)
    with pytest.raises(BackupPartMissingError, match="no inventory of"):
        list(subject.backups.inventory(taken.id, "avatars"))
    if subject.prunes:
        assert subject.backups.prune(1, 1).kept == (taken.id,)
    else:
        assert "by its own retention" in subject.backups.prune(1, 1).detail
    # An earlier proof is void as soon as a backup is found not to hold.
    subject.damage(taken.id)
    with pytest.raises(BackupError):
        subject.backups.prove(taken.id)
    broken = subject.backups.list().backups[0]
    assert (broken.id, broken.state) == (taken.id, BackupState.BROKEN)
    assert broken.problem != ""


@pytest.mark.servers
def test_pgbackrest_when_a_file_was_changed_or_a_rule_is_broken_then_it_is_the_backups_fault(
    stanza: pgbackrest.Stanza, tmp_path: Path
) -> None:
    path = written(tmp_path, stanza.dsn, of_stanza(stanza))
    path.write_text(path.read_text().replace("customer IS NULL", "customer = 2"))
    backups = open_backups(load(path))
    stanza.execute("CREATE SCHEMA IF NOT EXISTS failback")
    stanza.execute(
        "CREATE TABLE failback.stream (name text, lsn pg_lsn, lost text, capture text);"
        "CREATE TABLE failback.stream_table (stream text, name text, copy_whole bool,"
        " stopped text, unproven text, uncaptured text);"
        "INSERT INTO failback.stream VALUES ('target-to-source', '0/ABC', '', 'slot')"
    )
    taken = backups.take()
    assert (taken.applied_upto, taken.server_major) == ("0/ABC", 15)
    with pytest.raises(BackupRuleError, match="no order without a customer: 33 rows"):
        backups.prove(taken.id)
    listed = backups.list().backups[0]
    assert (listed.state, listed.applied_upto) == (BackupState.BROKEN, "0/ABC")
    # Of another key nothing counts: whoever can write there proves nothing.
    certificates.generate(tmp_path / "another")
    path.write_text(path.read_text().replace(f"{tmp_path}/key", f"{tmp_path}/another"))
    assert open_backups(load(path)).list().backups[0].state is BackupState.COMPLETE
    stanza.flip_a_byte(taken.id)
    with pytest.raises(BackupPartChangedError, match="cannot be restored"):
        backups.prove(taken.id)
    # What belongs to the restore alone is gone, and the server's own data are as they were.
    assert list(stanza.home.glob("failback-scratch-*")) == []
    stanza.execute("SELECT FROM orders")
    backups.close()


def test_pgbackrest_when_it_is_missing_then_said_where_to_name_it(tmp_path: Path) -> None:
    more = "  provider: pgbackrest\n  pgbackrest: {stanza: shop, program: /nowhere/pgbackrest}\n"
    backups = open_backups(load(written(tmp_path, "dbname=app", more)))
    with pytest.raises(BackupToolError, match=r"backup\.pgbackrest\.program"):
        backups.list()
