"""The lab's product: its schema, whose tables are whose, and what may be done with them."""

import psycopg
import pytest

from failback.errors import LabError
from failback.lab.databases import DatabasePair, PostgresPair
from failback.lab.product.schema import install
from failback.models.common import Side

pytestmark = pytest.mark.servers


def test_schema_when_installed_twice_keeps_data_owners_and_rights(databases: DatabasePair) -> None:
    for side in Side:
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.app_dsn(side), autocommit=True) as product:
            product.execute("INSERT INTO lab_writes VALUES ('kept', 'yes')")
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.app_dsn(side), autocommit=True) as product:
            rows = product.execute("SELECT value FROM lab_writes WHERE key = 'kept'").fetchall()
            assert rows == [("yes",)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                product.execute("DROP TABLE lab_writes")


def test_owners_when_installed_are_those_of_each_side(databases: DatabasePair) -> None:
    owners: dict[Side, dict[str, str]] = {}
    for side in Side:
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.admin_dsn(side)) as database:
            owners[side] = dict(
                database.execute("""
                    SELECT relnamespace::regnamespace::text, string_agg(DISTINCT
                        pg_get_userbyid(relowner), ',') FROM pg_class
                    WHERE relnamespace::regnamespace::text IN ('public', 'auth', 'storage')
                      AND relkind IN ('r', 'S') GROUP BY 1""").fetchall()
            )
    auth_admin = "supabase_auth_admin"
    assert owners[Side.SOURCE] == {"public": "postgres", "auth": auth_admin, "storage": auth_admin}
    assert set(owners[Side.TARGET].values()) == {"app_owner"}


def test_auth_tables_of_the_source_when_installed_are_writable_but_take_no_trigger(
    databases: DatabasePair,
) -> None:
    install(databases.source_admin_dsn, Side.SOURCE)
    with psycopg.connect(databases.source_dsn, autocommit=True) as failback:
        failback.execute("INSERT INTO auth.users (email) VALUES ('a@example.org')")
        failback.execute("DELETE FROM auth.users")
        failback.execute("SELECT setval('auth.refresh_tokens_id_seq', 1000)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            failback.execute(
                "CREATE TRIGGER nosy BEFORE INSERT ON auth.users FOR EACH STATEMENT"
                " EXECUTE FUNCTION public.touch_updated_at()"
            )


def test_schema_when_roles_are_missing_names_the_cure(postgres_pair: PostgresPair) -> None:
    with pytest.raises(LabError, match="Create the lab's roles first"):
        install(postgres_pair.target.admin_dsn(), Side.SOURCE)
