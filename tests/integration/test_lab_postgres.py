import os
import signal
from pathlib import Path

import psycopg
import pytest

from failback.lab.databases import DatabasePair
from failback.lab.postgres import PostgresServer
from failback.lab.processes import wait_until
from failback.models.common import Side

pytestmark = pytest.mark.servers


def test_servers_when_started_have_their_majors_and_logical_wal(
    databases: DatabasePair,
) -> None:
    for side, major in ((Side.SOURCE, 16), (Side.TARGET, 18)):
        with psycopg.connect(databases.admin_dsn(side)) as connection:
            facts = connection.execute(
                "SELECT current_setting('server_version_num')::int / 10000,"
                " current_setting('wal_level'), current_setting('max_prepared_transactions'),"
                " current_setting('server_encoding')"
            ).fetchone()
        assert facts == (major, "logical", "16", "UTF8")


@pytest.mark.parametrize("side", list(Side))
def test_failback_role_when_asked_has_only_what_hosted_servers_give(
    databases: DatabasePair, side: Side
) -> None:
    with psycopg.connect(databases.dsn(side)) as connection:
        facts = connection.execute(
            "SELECT rolsuper, rolreplication, pg_has_role('pg_signal_backend', 'usage'),"
            " pg_has_role('product', 'set'),"
            " has_database_privilege(current_database(), 'create')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert facts == (False, True, True, True, True)
        connection.execute("SET session_replication_role = replica")


def test_source_role_when_it_meets_auth_may_write_rows_but_not_add_triggers(
    databases: DatabasePair,
) -> None:
    with psycopg.connect(databases.source_admin_dsn, autocommit=True) as admin:
        admin.execute("SET ROLE supabase_auth_admin")
        admin.execute("CREATE TABLE auth.users (id bigserial PRIMARY KEY)")
    with psycopg.connect(databases.source_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO auth.users DEFAULT VALUES")
        connection.execute("SELECT setval('auth.users_id_seq', 100)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "CREATE TRIGGER t BEFORE INSERT ON auth.users"
                " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            )


def test_target_role_when_it_meets_the_owners_tables_may_publish_and_fence_them(
    databases: DatabasePair,
) -> None:
    with psycopg.connect(databases.target_dsn, autocommit=True) as connection:
        connection.execute("SET ROLE app_owner")
        connection.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
        connection.execute("RESET ROLE")
        connection.execute("CREATE PUBLICATION p FOR TABLE public.t (id)")
        connection.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        connection.execute(
            "CREATE TRIGGER t BEFORE UPDATE ON public.t"
            " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
    with psycopg.connect(databases.target_app_dsn, autocommit=True) as product:
        product.execute("INSERT INTO public.t VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            product.execute("DROP TABLE public.t")


def test_server_when_killed_starts_again_on_its_port_with_its_data(tmp_path: Path) -> None:
    server = PostgresServer(18, tmp_path / "server")
    try:
        server.start()
        port, pid = server.port, server.pid
        with psycopg.connect(server.admin_dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not server.is_running(), 10)
        server.start()
        assert server.port == port
        with psycopg.connect(server.admin_dsn()) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
    finally:
        server.remove()
    assert not server.home.exists()
