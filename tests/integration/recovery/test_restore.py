"""A restore beside, its checks, and the swap through a real balancer."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from failback.errors import (
    NoProvenBackupError,
    NothingRestoredError,
    RestoredDiffersError,
    RestoreFailedError,
    StandbyRefusedError,
)
from failback.lab.haproxy import HaproxyServer
from failback.models.common import Outcome
from failback.models.recovery import Part, RecoveryService
from failback.providers.backup.vault import ShelfVault
from failback.recovery import EstateRecovery
from failback.recovery.standby import Standby

from support.recoveries import Damaged, balanced, door_dsn

pytestmark = pytest.mark.servers
ROLLBACK = "rollback/shop/2026-11-24T10:00:00"


class _KilledError(Exception):
    """The worker went away."""


@pytest.fixture
def door(estate: Damaged) -> Iterator[HaproxyServer]:
    with balanced(estate) as server:
        yield server


def _backup(estate: Damaged) -> str:
    (only,) = (path.name for path in (estate.store / "shop").iterdir())
    return only


def _restored(estate: Damaged, recovery: EstateRecovery) -> str:
    backup = _backup(estate)
    recovery.restore(Part.DATABASE, ROLLBACK, backup)
    recovery.replay(ROLLBACK, backup)
    return backup


def _asked(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as session:
        return session.execute(query).fetchall()


def _target(estate: Damaged, *statements: str) -> None:
    with psycopg.connect(estate.target.target_admin_dsn, autocommit=True) as session:
        for statement in statements:
            session.execute(statement)


def test_recovery_when_auth_was_dropped_then_what_was_restored_takes_over_and_damage_is_kept(
    estate: Damaged, door: HaproxyServer
) -> None:
    estate.run("DROP SCHEMA auth CASCADE")
    recovery, backup = estate.recovery(), _backup(estate)
    assert recovery.activate().outcome is Outcome.SUCCEEDED, recovery.activate().detail
    told: list[str] = []
    database = recovery.restore(Part.DATABASE, ROLLBACK, backup, told.append)
    assert (database.outcome, database.backup) == (Outcome.SUCCEEDED, backup)
    assert database.rows > 1000
    assert any("Comparing" in text for text in told)
    assert recovery.restore(Part.AUTH, ROLLBACK, backup).outcome is Outcome.SUCCEEDED
    replayed = recovery.replay(ROLLBACK, backup)
    assert "no change archive is configured" in replayed.detail
    assert replayed.replayed_commit_at is not None
    verified = recovery.verify(ROLLBACK)
    assert verified.outcome is Outcome.SUCCEEDED, verified.detail
    assert {item.name for item in verified.items} >= {
        *("tables can be read", "foreign keys", "business rules", "sequences", "objects"),
    }
    before = _asked(door_dsn(estate, door), "SELECT inet_server_port()")
    rebuilt = recovery.rebuild(ROLLBACK)
    assert rebuilt.outcome is Outcome.SUCCEEDED, rebuilt.detail
    assert "what is damaged stays untouched" in rebuilt.note
    after = _asked(door_dsn(estate, door), "SELECT inet_server_port(), current_database()")
    assert before == [(estate.source.port,)]
    assert after == [(estate.standby.port, estate.name)]
    assert _asked(door_dsn(estate, door), "SELECT count(*) FROM auth.users") == [(40,)]
    # Owners and rights came with the rows, and the damaged database is as it was.
    owners = "SELECT tableowner FROM pg_tables WHERE schemaname = 'auth' AND tablename = 'users'"
    assert estate.on_standby(owners) == [("supabase_auth_admin",)]
    estate.run("SELECT FROM public.documents")
    # A second time changes nothing.
    assert not any(item.changed for item in recovery.rebuild(ROLLBACK).items)


def test_restore_when_killed_half_way_then_a_second_one_begins_anew_and_a_third_stands_beside(
    estate: Damaged,
) -> None:
    recovery, backup = estate.recovery(), _backup(estate)

    def killed(text: str) -> None:
        if "Comparing" in text:
            raise _KilledError

    with pytest.raises(_KilledError):
        recovery.restore(Part.DATABASE, ROLLBACK, backup, killed)
    with pytest.raises(NothingRestoredError):
        recovery.verify(ROLLBACK)
    restored = recovery.restore(Part.DATABASE, ROLLBACK, backup)
    name = restored.place.partition(" ")[0]
    assert name in estate.standby_databases()
    recovery.restore(Part.DATABASE, "another", backup)
    names = {one for one in estate.standby_databases() if one.startswith("failback_")}
    assert len(names) == 2
    assert name in names


def test_restore_when_somebody_else_has_the_name_then_refused_and_kept(estate: Damaged) -> None:
    recovery = estate.recovery()
    name = Standby(recovery._settings).beside(ROLLBACK)
    with psycopg.connect(estate.standby.admin_dsn(), autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        session.execute(f"COMMENT ON DATABASE {name} IS 'the payroll'")
    with pytest.raises(StandbyRefusedError, match="failback did not make"):
        recovery.restore(Part.DATABASE, ROLLBACK, _backup(estate))
    assert name in estate.standby_databases()


def test_restore_when_a_byte_of_the_backup_was_changed_then_refused_before_anything_runs(
    estate: Damaged,
) -> None:
    backup = _backup(estate)
    part: Path = estate.store / "shop" / backup / "database" / "toc.dat"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    recovery = estate.recovery()
    with pytest.raises(RestoreFailedError, match="other bytes"):
        recovery.restore(Part.DATABASE, ROLLBACK, backup)
    (estate.store / "shop" / backup / "proof.json").unlink()
    with pytest.raises(NoProvenBackupError, match="not proven"):
        recovery.restore(Part.DATABASE, ROLLBACK, backup)


def test_restore_when_rows_are_others_than_the_manifest_says_then_it_does_not_count(
    estate: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = ShelfVault.restore

    def robbed(self: ShelfVault, backup: str, dsn: str, progress: object) -> None:
        restore(self, backup, dsn, lambda _text: None)
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("DELETE FROM public.document_revisions WHERE id = 1")

    monkeypatch.setattr(ShelfVault, "restore", robbed)
    recovery = estate.recovery()
    with pytest.raises(RestoredDiffersError, match=r"public\.document_revisions has 1,199 rows"):
        recovery.restore(Part.DATABASE, ROLLBACK, _backup(estate))
    with pytest.raises(NothingRestoredError):
        recovery.rebuild(ROLLBACK)


def test_verify_when_rows_break_keys_and_rules_then_each_is_named_and_sequences_are_raised(
    estate: Damaged,
) -> None:
    recovery, backup = estate.recovery(), _backup(estate)
    restored = recovery.restore(Part.DATABASE, ROLLBACK, backup)
    name = restored.place.partition(" ")[0]
    estate.on_standby(
        "SELECT setval('public.documents_number_seq', 1), setval('auth.refresh_tokens_id_seq', 1)",
        name,
    )
    with psycopg.connect(estate.standby.admin_dsn(name), autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        session.execute("DELETE FROM auth.users WHERE email = 'u7'")
    found = {item.name: item for item in recovery.verify(ROLLBACK).items}
    assert "documents_owner_fkey: 30 rows" in found["foreign keys"].detail
    assert "public.documents_number_seq is at 1" in found["sequences"].detail
    assert found["business rules"].outcome is Outcome.SUCCEEDED
    assert "1 sequences were set" in recovery.replay(ROLLBACK, backup).detail
    found = {item.name: item for item in recovery.verify(ROLLBACK).items}
    assert found["sequences"].outcome is Outcome.SUCCEEDED
    assert found["foreign keys"].outcome is Outcome.FAILED


def test_return_when_services_are_enabled_then_one_writer_and_reads_come_before_writes(
    estate: Damaged, door: HaproxyServer
) -> None:
    recovery = estate.recovery()
    _restored(estate, recovery)
    recovery.rebuild(ROLLBACK)
    write = (
        "INSERT INTO public.workspaces (slug, name) VALUES (gen_random_uuid()::text, 'x')"
        " RETURNING 1"
    )
    fence = ("CREATE SCHEMA failback", "CREATE SEQUENCE failback.fence")
    _target(
        estate,
        *fence,
        "GRANT USAGE ON SCHEMA failback TO failback",
        "GRANT SELECT ON failback.fence TO failback",
        "SELECT setval('failback.fence', 1)",
    )
    try:
        refused = recovery.enable(RecoveryService.AUTHENTICATION, 100)
        assert refused.outcome is Outcome.FAILED
        assert "still takes writes" in refused.detail
        assert len(refused.items) == 1
        _target(estate, "SELECT setval('failback.fence', 2)")
        # The dump may hold a fence that was up when it was taken.
        with psycopg.connect(estate.standby.admin_dsn(estate.name), autocommit=True) as session:
            for statement in (*fence, "SELECT setval('failback.fence', 2)"):
                session.execute(statement)
        enabled = recovery.enable(RecoveryService.AUTHENTICATION, 25)
        assert enabled.outcome is Outcome.SUCCEEDED, enabled.detail
        traffic = {item.name: item.detail for item in enabled.items}
        assert traffic["traffic of auth"].startswith("source 25, target 75")
        assert estate.on_standby("SELECT last_value FROM failback.fence") == [(1,)]
        assert recovery.look(RecoveryService.AUTHENTICATION).outcome is Outcome.SUCCEEDED

        assert recovery.enable(RecoveryService.DATABASE_READ, 100).outcome is Outcome.SUCCEEDED
        assert recovery.look(RecoveryService.DATABASE_READ).outcome is Outcome.SUCCEEDED
        dsn = door_dsn(estate, door)
        assert _asked(dsn, "SELECT count(*) FROM public.documents") == [(1200,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            _asked(dsn, write)

        assert recovery.enable(RecoveryService.CORE_API, 100).outcome is Outcome.SUCCEEDED
        assert _asked(dsn, write) == [(1,)]
    finally:
        _target(estate, "DROP SCHEMA failback CASCADE")


def test_standby_when_a_role_cannot_log_in_then_it_is_named(estate: Damaged) -> None:
    with psycopg.connect(estate.standby.admin_dsn(), autocommit=True) as session:
        session.execute("ALTER ROLE product NOLOGIN")
        try:
            found = {item.name: item for item in estate.recovery().activate().items}
        finally:
            session.execute("ALTER ROLE product LOGIN")
    assert found["logins"].outcome is Outcome.FAILED
    assert "product cannot log in" in found["logins"].detail
    assert found["takes a database"].outcome is Outcome.SUCCEEDED


def test_functions_when_none_are_configured_then_restore_says_so(estate: Damaged) -> None:
    report = estate.recovery().restore(Part.FUNCTIONS, ROLLBACK, _backup(estate))
    assert report.outcome is Outcome.INCONCLUSIVE
    assert "no functions" in report.detail
