"""Who may do what about the fence, and where it may be installed."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from failback.errors import FenceNotHeldError, MissingRightError
from failback.lab.databases import OWNER_ROLES, DatabasePair
from failback.models.common import Outcome, Side
from failback.reverse_sync import fence, fence_triggers
from failback.reverse_sync.catalogue import Table, read_tables
from failback.reverse_sync.connections import Connection, Servers

pytestmark = pytest.mark.servers


@pytest.fixture
def servers(databases: DatabasePair) -> Servers:
    for side in Side:
        with psycopg.connect(databases.admin_dsn(side), autocommit=True) as admin:
            admin.execute(f"SET ROLE {OWNER_ROLES[side]}")
            admin.execute('CREATE TABLE public."Order Line" (id bigint PRIMARY KEY, v int)')
            admin.execute(
                "CREATE TABLE public.events (id bigint PRIMARY KEY) PARTITION BY RANGE (id)"
            )
            admin.execute(
                "CREATE TABLE public.events_1 PARTITION OF public.events"
                " FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)"
            )
            admin.execute(
                "CREATE TABLE public.events_1_1 PARTITION OF public.events_1"
                " FOR VALUES FROM (0) TO (5)"
            )
            auth = "supabase_auth_admin" if side is Side.SOURCE else "app_owner"
            admin.execute(f"SET ROLE {auth}")
            admin.execute("CREATE TABLE auth.users (id bigint PRIMARY KEY)")
    return Servers(databases.source_dsn, databases.target_dsn)


@pytest.fixture
def source(servers: Servers) -> Iterator[Connection]:
    with servers.connect(Side.SOURCE, autocommit=True) as connection:
        yield connection


@pytest.fixture
def target(servers: Servers) -> Iterator[Connection]:
    with servers.connect(Side.TARGET, autocommit=True) as connection:
        yield connection


def _all(connection: Connection) -> tuple[Table, ...]:
    return read_tables(connection, ["public.*", "auth.*"])


def test_install_on_the_target_covers_every_table_and_partition(target: Connection) -> None:
    installation = fence.install(target, _all(target), always=True)
    assert installation.at_the_door == ()
    assert set(installation.covered) == {
        "auth.users",
        "public.Order Line",
        "public.events",
        "public.events_1",
        "public.events_1_1",
    }
    assert fence.uncovered(target, _all(target), always=True) == ()
    assert fence.is_up(target) is False


def test_install_where_a_trigger_is_not_allowed_names_the_table(source: Connection) -> None:
    with pytest.raises(MissingRightError, match=r'"auth"."users"'):
        fence.install(source, _all(source), always=False)
    installation = fence.install(source, _all(source), always=False, allow_at_the_door=True)
    assert installation.at_the_door == ("auth.users",)
    assert fence.uncovered(source, _all(source)) == ("auth.users",)


def test_install_where_reading_a_sequence_keeps_no_lock_is_refused(
    target: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = fence_triggers.statement
    monkeypatch.setattr(
        fence_triggers,
        "statement",
        lambda name: "SELECT false" if name == "fence_probe" else told(name),
    )
    with pytest.raises(FenceNotHeldError, match="keeps no lock"):
        fence.install(target, _all(target), always=True)
    assert len(fence.uncovered(target, _all(target))) == 5


def test_install_when_repeated_keeps_a_raised_fence_up(
    servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    fence.raise_(servers, Side.TARGET, connection=target)
    fence.install(target, _all(target), always=True)
    assert fence.is_up(target) is True


def test_install_when_the_direction_turns_changes_what_passes(
    databases: DatabasePair, servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    fence.install(target, _all(target), always=False)
    fence.raise_(servers, Side.TARGET, connection=target)
    target.execute("SET session_replication_role = replica")
    target.execute('INSERT INTO public."Order Line" VALUES (1, 1)')
    assert len(fence.uncovered(target, _all(target), always=True)) == 5
    assert fence.uncovered(target, _all(target), always=False) == ()


def test_partition_when_made_later_is_reported_until_it_is_covered(
    databases: DatabasePair, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("SET ROLE app_owner")
        admin.execute("CREATE TABLE public.e2 PARTITION OF events FOR VALUES FROM (10) TO (20)")
    assert fence.uncovered(target, _all(target), always=True) == ("public.e2",)
    fence.install(target, _all(target), always=True)
    assert fence.uncovered(target, _all(target), always=True) == ()


def test_install_when_a_table_stays_locked_says_by_whom_and_lets_writers_through(
    databases: DatabasePair, target: Connection
) -> None:
    with psycopg.connect(databases.target_app_dsn) as long:
        long.execute('INSERT INTO public."Order Line" VALUES (1, 1)')
        failures: list[Exception] = []

        def installing() -> None:
            try:
                fence.install(target, _all(target), always=True, patience_seconds=1.0)
            except FenceNotHeldError as error:
                failures.append(error)

        installer = threading.Thread(target=installing)
        installer.start()
        with psycopg.connect(databases.target_app_dsn, autocommit=True) as short:
            short.execute("SET lock_timeout = '2s'")
            for key in range(10, 60):
                short.execute('INSERT INTO public."Order Line" VALUES (%s, 1)', [key])
        installer.join(30)
        assert str(long.info.backend_pid) in str(failures[0])
        assert "Order Line" in str(failures[0])
    assert "public.Order Line" in fence.install(target, _all(target), always=True).covered


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    "attempt",
    [
        "SELECT setval('failback.fence', 1)",
        "SELECT nextval('failback.fence')",
        "ALTER SEQUENCE failback.fence RESTART",
        "DROP SEQUENCE failback.fence CASCADE",
        "ALTER FUNCTION failback.guard() SECURITY DEFINER",
        "CREATE FUNCTION failback.other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'ALTER TABLE public."Order Line" DISABLE TRIGGER failback_fence',
        "SET session_replication_role = replica",
        "SELECT failback.drain_writers(0, 0)",
    ],
)
def test_product_role_when_it_tries_to_get_past_the_fence_is_denied(
    databases: DatabasePair, servers: Servers, side: Side, attempt: str
) -> None:
    with servers.connect(side, autocommit=True) as session:
        fence.install(session, _all(session), always=True, allow_at_the_door=True)
    with psycopg.connect(databases.app_dsn(side), autocommit=True) as product:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            product.execute(attempt)
        product.execute('INSERT INTO public."Order Line" VALUES (1, 1)')
        fence.raise_(servers, side)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="fenced"):
            product.execute('INSERT INTO public."Order Line" VALUES (2, 1)')


def test_product_role_when_it_shadows_the_guards_operators_is_still_refused(
    databases: DatabasePair, servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA trick; GRANT ALL ON SCHEMA trick TO product")
    fence.raise_(servers, Side.TARGET, connection=target)
    with psycopg.connect(databases.target_app_dsn, autocommit=True) as product:
        product.execute(
            "CREATE FUNCTION trick.yes(bigint, int) RETURNS bool LANGUAGE sql AS 'SELECT true';"
            "CREATE OPERATOR trick.= (FUNCTION = trick.yes, LEFTARG = bigint, RIGHTARG = int);"
            "CREATE FUNCTION trick.pg_sequence_last_value(regclass) RETURNS bigint"
            " LANGUAGE sql AS 'SELECT 1::bigint';"
            "SET search_path = trick, pg_catalog, public"
        )
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            product.execute('INSERT INTO public."Order Line" VALUES (2, 1)')


def test_applier_when_it_runs_as_replica_passes_the_receivers_fence(
    databases: DatabasePair, servers: Servers, source: Connection
) -> None:
    fence.install(source, _all(source), always=False, allow_at_the_door=True)
    fence.raise_(servers, Side.SOURCE, connection=source)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source.execute("INSERT INTO public.events VALUES (1)")
    with source.transaction():
        source.execute("SET LOCAL session_replication_role = replica")
        source.execute("INSERT INTO public.events VALUES (1)")
    assert source.execute("SELECT id FROM public.events").fetchall() == [(1,)]


def test_proof_when_roles_are_given_says_what_came_of_each(
    databases: DatabasePair, servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    report = fence.raise_(
        servers,
        Side.TARGET,
        1.0,
        ["product", "anon", "nobody_known", "supabase_admin"],
        connection=target,
    )
    assert report.outcome is Outcome.SUCCEEDED
    assert report.proofs == (
        "failback's own role: refused on 5 tables (25006)",
        "role product: refused on 5 tables (25006)",
        "role anon: not tried, failback may not act as it",
        "role nobody_known: does not exist on this side",
        "role supabase_admin: not tried, failback may not act as it",
    )


def test_proof_when_a_trigger_was_disabled_fails_and_names_the_table(
    databases: DatabasePair, servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("ALTER TABLE public.events_1_1 DISABLE TRIGGER failback_fence")
    report = fence.raise_(servers, Side.TARGET, connection=target)
    assert report.outcome is Outcome.FAILED
    assert "public.events_1_1 is disabled" in report.detail
    assert "A write to public.events_1_1" in report.detail
    assert fence.is_up(target) is True


def test_remove_when_done_lets_writes_pass_and_leaves_nothing(
    servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    fence.raise_(servers, Side.TARGET, connection=target)
    assert len(fence.remove(target)) == 5
    assert fence.remove(target) == ()
    target.execute("INSERT INTO public.events VALUES (1)")
    left = target.execute(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'failback'"
    ).fetchone()
    assert left == (0,)
    assert fence.is_up(target) is None


def test_writers_in_flight_when_failback_asks_about_the_fence_has_no_new_one(
    servers: Servers, target: Connection
) -> None:
    fence.install(target, _all(target), always=True)
    with servers.connect(Side.TARGET) as asking:
        assert fence.is_up(asking) is False
        report = fence.raise_(servers, Side.TARGET, 0.05, connection=target)
        assert report.terminated == ()
        assert fence.is_up(asking) is True
