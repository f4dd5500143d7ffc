"""Refusals: each names its cause and its cure, and changes nothing on either side."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from failback.errors import (
    AlreadyArmedError,
    ConfigurationError,
    CredentialsError,
    FailbackError,
    FenceUpError,
    MissingRightError,
    SafetyRuleError,
    SchemaDriftError,
    TableRefusedError,
    UnknownTablePatternError,
    UnreachableError,
)
from failback.models.common import Outcome, Side

from support.sync_objects import NOTE, Armed, objects

pytestmark = pytest.mark.servers


def refused(
    pair: Any,
    error: type[FailbackError],
    match: str,
    capture: str | None = None,
    **changed: Any,
) -> FailbackError:
    """Arming raises this error, and leaves both sides as they were."""
    before = objects(pair)
    with pytest.raises(error, match=match) as raised:
        pair.engine(**changed).arm(capture)
    assert objects(pair) == before
    assert raised.value.cure
    assert "test-only" not in str(raised.value)
    return raised.value


def test_arm_when_a_pattern_matches_nothing_then_it_is_refused(pair: Any) -> None:
    pair.both(NOTE)
    error = refused(
        pair, UnknownTablePatternError, "public.notes", include=("public.note", "public.notes")
    )
    assert "public.note" in error.cure


def test_arm_when_partitions_have_no_key_then_it_is_refused(pair: Any) -> None:
    pair.both(
        "CREATE TABLE keyless (a int, b int) PARTITION BY LIST (a)",
        "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY)",
    )
    error = refused(pair, TableRefusedError, "public.keyless is partitioned and has no primary key")
    assert "public.fast is unlogged" in error.cause
    assert "ADD PRIMARY KEY" in error.cure


@pytest.mark.parametrize(
    ("source", "target", "cause", "cure"),
    [
        ("a int", "a int, b text", "lacks the column b", 'ADD COLUMN "b" text'),
        ("a int, b text", "a int", "has the column b on the source alone", "drop it"),
        ("a int", "a bigint", "has a as integer", 'ALTER COLUMN "a" TYPE bigint'),
        ("a numeric(5,2)", "a numeric", "has a as numeric", 'ALTER COLUMN "a" TYPE numeric'),
        ("a varchar(5)", "a varchar(9)", "has a as character", "TYPE character varying"),
        ("a int NOT NULL", "a int", "allows NULL in a", "DROP NOT NULL"),
        ("a int[]", "a int", "has a as integer", "TYPE integer"),
    ],
)
def test_arm_when_the_source_schema_would_lose_data_then_it_is_refused(
    pair: Any, source: str, target: str, cause: str, cure: str
) -> None:
    pair.run(Side.SOURCE, f"CREATE TABLE note (id int PRIMARY KEY, {source})")
    pair.run(Side.TARGET, f"CREATE TABLE note (id int PRIMARY KEY, {target})")
    error = refused(pair, SchemaDriftError, cause)
    assert cure in error.cure


def test_arm_when_the_source_lacks_a_table_or_an_enum_label_then_it_is_refused(pair: Any) -> None:
    pair.run(Side.SOURCE, "CREATE TYPE mood AS ENUM ('sad')")
    pair.run(Side.TARGET, "CREATE TYPE mood AS ENUM ('sad', 'fine')")
    pair.both("CREATE TABLE feeling (id int PRIMARY KEY, mood mood[])")
    pair.run(Side.TARGET, "CREATE TABLE gone (id int PRIMARY KEY)")
    error = refused(pair, SchemaDriftError, "public.gone does not exist on the source")
    assert "fine" in error.cause
    assert "ADD VALUE 'fine'" in error.cure


def test_arm_when_the_source_is_wider_then_values_arrive(pair: Any) -> None:
    pair.run(Side.SOURCE, "CREATE TABLE note (id bigint PRIMARY KEY, v text, n numeric)")
    pair.run(Side.TARGET, "CREATE TABLE note (id int PRIMARY KEY, v varchar(9), n numeric(5,2))")
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    with pair.target() as target:
        target.execute("INSERT INTO note VALUES (1, E'a\\tb', 1.5), (2, NULL, NULL)")
    engine.run_batch()
    with pair.target() as target:
        target.execute("UPDATE note SET id = 3 WHERE id = 1")
    engine.run_batch()
    pair.assert_equal()


@pytest.mark.parametrize(
    ("side", "revoke", "restore", "match"),
    [
        (
            Side.TARGET,
            "ALTER ROLE failback NOREPLICATION",
            "ALTER ROLE failback REPLICATION",
            "failback may not replicate on the target",
        ),
        (
            Side.SOURCE,
            "REVOKE SET ON PARAMETER session_replication_role FROM postgres",
            "GRANT SET ON PARAMETER session_replication_role TO postgres",
            "postgres may not set session_replication_role on the source",
        ),
        (
            Side.TARGET,
            "REVOKE app_owner FROM failback",
            "GRANT app_owner TO failback",
            "failback does not own public.note on the target",
        ),
    ],
)
def test_arm_when_a_right_is_missing_then_it_is_refused_with_the_grant(
    pair: Any, side: Side, revoke: str, restore: str, match: str
) -> None:
    pair.both(NOTE)
    with pair.admin(side) as admin:
        admin.execute(revoke)
        try:
            error = refused(pair, MissingRightError, match, capture="slot")
        finally:
            admin.execute(restore)
    assert restore.partition(" ")[0] in error.cure


def test_arm_when_the_source_may_not_be_written_then_it_is_refused(pair: Any) -> None:
    pair.both(NOTE)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("ALTER TABLE note OWNER TO supabase_auth_admin")
    error = refused(pair, MissingRightError, "postgres may not write public.note on the source")
    assert "GRANT SELECT, INSERT, DELETE ON public.note" in error.cure


def test_arm_when_the_source_owns_no_trigger_right_then_it_is_guarded_at_the_door(
    pair: Any,
) -> None:
    pair.both(NOTE)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("CREATE TABLE auth.users (id uuid PRIMARY KEY, email text)")
        admin.execute("ALTER TABLE auth.users OWNER TO supabase_auth_admin")
        admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON auth.users TO postgres")
    pair.run(Side.TARGET, "CREATE TABLE auth.users (id uuid PRIMARY KEY, email text)")
    engine = pair.engine(include=("public.*", "auth.*"))
    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED
    assert any("at the door" in w and "auth.users" in w for w in report.warnings)
    with pair.target() as target:
        target.execute("INSERT INTO auth.users VALUES (gen_random_uuid(), 'a@example.org')")
    engine.run_batch()
    query = "SELECT * FROM auth.users"
    assert pair.rows(Side.SOURCE, query) == pair.rows(Side.TARGET, query) != []
    assert engine.status().problems == ()


def test_arm_when_the_target_is_fenced_then_it_is_refused(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    engine.raise_fence(Side.TARGET, 1)
    refused(pair, FenceUpError, "target is up")


def test_arm_when_another_estate_is_there_then_it_is_refused(pair: Any, armed: Armed) -> None:
    armed(NOTE)
    refused(pair, AlreadyArmedError, "by the estate test-", estate="somebody-else")


def test_arm_when_the_slot_is_somebody_elses_then_it_is_refused(pair: Any) -> None:
    pair.both(NOTE)
    with pair.admin(Side.TARGET) as admin:
        admin.execute(
            "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')",
            [pair.settings.object_name],
        )
    error = refused(pair, AlreadyArmedError, "has a slot")
    assert "pg_drop_replication_slot" in error.cure


def test_arm_when_capture_is_unknown_then_it_is_refused(pair: Any) -> None:
    pair.both(NOTE)
    with pytest.raises(ConfigurationError, match="telepathy"):
        pair.engine().arm("telepathy")


def test_connect_when_refused_then_the_error_names_user_and_host_and_not_the_password(
    pair: Any,
) -> None:
    pair.both(NOTE)
    wrong = psycopg.conninfo.make_conninfo(pair.settings.target_dsn, password="not-this-secret")
    error = refused(pair, CredentialsError, "as user failback", target_dsn=wrong)
    assert "not-this-secret" not in str(error)
    nobody = psycopg.conninfo.make_conninfo(pair.settings.source_dsn, port="1")
    error = refused(pair, UnreachableError, "source database", source_dsn=nobody)
    assert "test-only" not in repr(replace(pair.settings, source_dsn=nobody))


def test_lift_when_a_rule_would_be_broken_then_it_is_refused(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    with pytest.raises(SafetyRuleError, match="one_writer"):
        engine.lift_fence(Side.SOURCE)
    with pair.target() as target:
        target.execute("INSERT INTO note (body) VALUES ('tail')")
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.lift_fence(Side.SOURCE)
    assert engine.status().lag_seconds > 0
    engine.drain(5)
    assert not engine.lift_fence(Side.SOURCE).raised
    with pytest.raises(SafetyRuleError, match="one_writer"):
        engine.lift_fence(Side.TARGET)
    with psycopg.connect(pair.databases.source_app_dsn) as product:
        # The publication on the source must not stand in the product's way.
        product.execute("INSERT INTO note (id, body) VALUES (100, 'on the source'), (101, '')")
        product.execute("UPDATE note SET body = 'changed' WHERE id = 100")
        product.execute("DELETE FROM note WHERE id = 101")
    engine.raise_fence(Side.SOURCE, 1)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.lift_fence(Side.TARGET)
    assert not engine.lift_fence(Side.TARGET, accepted="an operator").raised
