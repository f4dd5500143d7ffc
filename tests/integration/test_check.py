"""`failback check` against real servers: each answer is a yes, and a no where one is due."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import psycopg
import pytest

from failback.cli.readiness.capture import examine_capture
from failback.cli.readiness.databases import examine_database
from failback.cli.readiness.findings import Answer, Finding
from failback.cli.readiness.names import examine_names
from failback.cli.readiness.temporal import examine_temporal
from failback.config import Estate
from failback.lab.databases import DatabasePair
from failback.lab.names import KEY_NAME, NameServer, knot_program, name_server
from failback.lab.processes import free_port
from failback.models.common import Side
from failback.providers.compose import compose
from failback.reverse_sync import rights

pytestmark = pytest.mark.servers

ZONE = "check.failback.test."
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"


def estate(**changes: Any) -> Estate:
    document: dict[str, Any] = {
        "estate": "shop",
        "source": {"dsn": "postgresql://failback@127.0.0.1:1/none"},
        "target": {"dsn": "postgresql://failback@127.0.0.1:1/none"},
        "temporal": {"address": "127.0.0.1:1"},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
            "routes": {"database": [{"backend": "database"}]},
        },
    }
    return Estate.model_validate({**document, **changes})


def answers(findings: list[Finding]) -> dict[str, Answer]:
    return {finding.question: finding.answer for finding in findings}


def named(findings: list[Finding], question: str) -> Finding:
    return next(finding for finding in findings if finding.question == question)


@pytest.fixture
def sides(databases: DatabasePair) -> Estate:
    """Both databases with one good table each."""
    for side in Side:
        with psycopg.connect(databases.dsn(side), autocommit=True) as connection:
            if side is Side.TARGET:
                connection.execute("SET ROLE app_owner")
            connection.execute("CREATE TABLE public.documents (id bigint PRIMARY KEY)")
    return estate(source={"dsn": databases.source_dsn}, target={"dsn": databases.target_dsn})


@pytest.mark.parametrize("side", list(Side))
def test_database_as_the_lab_sets_it_up_then_every_answer_is_yes(side: Side, sides: Estate) -> None:
    findings = examine_database(sides, side)
    assert set(answers(findings).values()) == {Answer.YES}, findings
    assert len(findings) >= 8


def test_database_with_tables_that_cannot_be_captured_then_each_is_named_with_a_cure(
    sides: Estate, databases: DatabasePair
) -> None:
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.keyless (note text) PARTITION BY LIST (note)")
        connection.execute("CREATE UNLOGGED TABLE public.fleeting (id int PRIMARY KEY)")
    findings = examine_database(sides, Side.TARGET)
    captured = named(findings, "every table can be captured")
    assert captured.answer is Answer.NO
    for name, cure in (("keyless", "ADD PRIMARY KEY"), ("fleeting", "SET LOGGED")):
        assert f"public.{name}" in captured.detail
        assert f"ALTER TABLE public.{name} {cure}" in captured.cure
    assert named(findings, "the role owns every table").answer is Answer.NO


def test_source_with_a_table_of_others_then_writing_it_is_what_counts(
    sides: Estate, databases: DatabasePair
) -> None:
    with psycopg.connect(databases.source_admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.theirs (id int PRIMARY KEY)")
        refused = named(examine_database(sides, Side.SOURCE), "the role may write every table")
        assert refused.answer is Answer.NO
        assert "public.theirs" in refused.detail
        assert "GRANT" in refused.cure
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON public.theirs TO postgres")
    allowed = named(examine_database(sides, Side.SOURCE), "the role may write every table")
    assert allowed.answer is Answer.YES
    assert "guarded at the door" in allowed.detail


def test_database_with_a_pattern_that_matches_nothing_then_the_nearest_is_named(
    sides: Estate,
) -> None:
    wrong = sides.model_copy(
        update={"data": estate(data={"tables": {"include": ["public.document"]}}).data}
    )
    finding = named(examine_database(wrong, Side.SOURCE), "rights and tables")
    assert finding.answer is Answer.NO
    assert "public.document " in finding.detail
    assert "public.documents" in finding.cure


def test_database_with_a_wrong_password_then_the_answer_is_no_without_the_secret(
    databases: DatabasePair,
) -> None:
    wrong = databases.source_dsn.replace(databases.password, "hunter2")
    findings = examine_database(estate(source={"dsn": wrong}), Side.SOURCE)
    assert findings[0].answer is Answer.NO
    assert "hunter2" not in repr(findings)


def test_database_that_is_away_then_the_answer_is_no_and_the_rest_unknown() -> None:
    findings = examine_database(estate(), Side.SOURCE)
    assert [finding.answer for finding in findings] == [Answer.NO, Answer.UNKNOWN]


def test_capture_as_the_lab_sets_it_up_then_a_slot_on_either_side(sides: Estate) -> None:
    findings = examine_capture(sides)
    assert set(answers(findings).values()) == {Answer.YES}, findings
    captured, own = findings
    assert (captured.question, own.detail) == ("changes of the target can be captured", "slot")
    assert captured.detail.startswith("slot: logical decoding")


def test_capture_without_a_right_for_slots_then_the_changelog_and_why_and_how_to_have_better(
    sides: Estate, databases: DatabasePair
) -> None:
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("ALTER ROLE failback NOREPLICATION")
        try:
            captured, _ = examine_capture(sides)
        finally:
            admin.execute("ALTER ROLE failback REPLICATION")
    assert captured.answer is Answer.YES
    assert captured.detail.startswith("changelog: triggers")
    assert "failback may not replicate on the target" in captured.detail
    assert "ALTER ROLE failback REPLICATION" in captured.detail


def test_server_before_15_when_checked_then_nothing_is_refused_and_the_changelog_is_chosen(
    sides: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "_COLUMN_LISTS", 190_000)
    captured, own = examine_capture(sides)
    assert (captured.answer, own.answer) == (Answer.YES, Answer.YES)
    assert "the target is PostgreSQL 18, which publishes no columns" in captured.detail
    assert own.detail.startswith("changelog: ")
    monkeypatch.setattr(rights, "OLDEST", 190_000)
    too_old = examine_database(sides, Side.TARGET)
    assert [one.answer for one in too_old] == [Answer.YES, Answer.NO, Answer.UNKNOWN]
    assert "PostgreSQL 19" in too_old[1].cure


def test_capture_where_nothing_can_capture_then_it_is_not_known_to_be_fine_and_says_what_to_run(
    sides: Estate, databases: DatabasePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "_COLUMN_LISTS", 190_000)
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute(
            "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p"
            " WITH (connect = false)"
        )
        admin.execute("ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
        admin.execute("UPDATE pg_subscription SET subenabled = true WHERE subname = 'feed'")
        try:
            captured, _ = examine_capture(sides)
        finally:
            admin.execute("UPDATE pg_subscription SET subenabled = false WHERE subname = 'feed'")
            admin.execute("DROP SUBSCRIPTION feed")
    assert captured.answer is Answer.UNKNOWN
    assert captured.detail.startswith("diff: nothing is captured")
    assert "ALTER SUBSCRIPTION … DISABLE" in captured.cure


def test_capture_where_a_side_is_away_then_it_is_unknown_which() -> None:
    (finding,) = examine_capture(estate())
    assert finding.answer is Answer.UNKNOWN
    assert finding.detail == "the source was not reached"


def test_role_that_only_reprotecting_would_need_a_right_of_then_the_sender_is_not_refused(
    sides: Estate, databases: DatabasePair
) -> None:
    question = "the role may set session_replication_role"
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("REVOKE SET ON PARAMETER session_replication_role FROM failback")
        try:
            finding = named(examine_database(sides, Side.TARGET), question)
        finally:
            admin.execute("GRANT SET ON PARAMETER session_replication_role TO failback")
    assert finding.answer is Answer.UNKNOWN
    assert "reprotect" in finding.detail


@pytest.fixture(params=["builtin", "knot"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NameServer]:
    """A real name server of either kind."""
    if request.param == "knot" and knot_program() is None:
        pytest.skip("Knot is not installed (Debian: apt-get install knot)")
    made = name_server(
        request.param,
        tmp_path / "dns",
        port=free_port(),
        zone=ZONE,
        secret=SECRET,
        log=tmp_path / "dns.log",
    )
    made.start()
    try:
        yield made
    finally:
        made.remove()


def with_names(server: NameServer, secret: str = SECRET, target: str = "target") -> Estate:
    return estate(
        dns={
            "server": server.address,
            "zone": ZONE,
            "tsig": {"name": KEY_NAME, "secret": secret},
            "records": [
                {
                    "name": f"api.{ZONE}",
                    "source": f"source.{ZONE}",
                    "target": f"{target}.{ZONE}",
                }
            ],
        }
    )


async def look(described: Estate) -> list[Finding]:
    ports = compose(described)
    try:
        return await examine_names(described, ports.dns)
    finally:
        await ports.aclose()


def records(server: NameServer) -> set[str]:
    """Everything that the zone answers for the names that a check speaks of."""
    found = set()
    for name in (ZONE, f"api.{ZONE}"):
        query = dns.message.make_query(name, "ANY")
        answer = dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=5)
        found |= {str(one) for one in answer.answer if "SOA" not in str(one)}
    return found


async def test_names_with_the_right_key_then_every_answer_is_yes_and_the_zone_is_as_before(
    server: NameServer,
) -> None:
    before = records(server)
    findings = await look(with_names(server))
    assert set(answers(findings).values()) == {Answer.YES}, findings
    assert records(server) == before


async def test_names_with_a_wrong_key_then_updates_are_not_allowed(server: NameServer) -> None:
    findings = await look(with_names(server, secret="d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZw=="))
    finding = named(findings, "signed updates are allowed")
    assert finding.answer is Answer.NO
    assert "dns.tsig" in finding.cure


async def test_names_that_point_elsewhere_then_the_answer_is_unknown(server: NameServer) -> None:
    findings = await look(with_names(server, target="another"))
    finding = named(findings, f"api.{ZONE} is answered")
    assert finding.answer is Answer.UNKNOWN
    assert f"target.{ZONE}" in finding.detail


async def test_names_without_a_server_then_the_answer_is_no(server: NameServer) -> None:
    server.stop()
    finding = named(await look(with_names(server)), "signed updates are allowed")
    assert finding.answer is Answer.NO


async def test_temporal_that_is_away_then_the_answer_is_no() -> None:
    findings = await examine_temporal(estate())
    assert [finding.answer for finding in findings] == [Answer.NO, Answer.UNKNOWN]
