"""After a level 2 the source's changes go to the target, so that the next attempt needs no copy."""

import psycopg
import pytest

from support.lab_run import LabRun, command, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]

_LEFT = (
    "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'failback')"
    " + (SELECT count(*) FROM pg_publication)"
    " + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())"
    " + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'failback%')"
)


def written(lab: LabRun, side: str) -> int:
    """The load's rows on one side."""
    with lab.admin(side) as admin:
        row = admin.execute("SELECT count(*) FROM public.lab_writes").fetchone()
    assert row is not None
    return int(row[0])


def test_reprotect_after_level_2_then_the_target_follows_the_live_source_and_never_takes_writes(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm")
    refused = command("--config", lab.facts["config"], "reprotect", "--json")
    assert refused.code == 1
    assert "one_writer" in refused.facts["error"]["cause"]
    load = lab.start_load(users=10, rps=40, seconds=300)
    lab.until_acknowledged(40)
    started = lab.run("rollback", "start", "--level", "2", "--reason", "totals", "--as", "bob")
    decision = ("--as", "alice", "--role", "engineering_lead")
    lab.run("rollback", "approve", started["rollback_id"], *decision)
    lab.run("rollback", "watch", started["rollback_id"])
    # Acknowledged by the source between the flip and the turn: captured, and never copied.
    lab.until_acknowledged(40)

    planned = lab.run("reprotect", "--plan")
    assert planned["planned"]
    assert "auth.users" in planned["uncaptured"]
    report = lab.run("reprotect")
    assert (report["outcome"], report["direction"]) == ("succeeded", "source-to-target")
    assert report["continuous"]
    error = lab.run("rollback", "start", "--level", "1", "--reason", "errors", code=1)["error"]
    assert error["type"] == "SafetyRuleError"
    assert "failback arm" in error["cure"]
    (only,) = lab.run("rollback", "list")["rollbacks"]
    assert only["rollback_id"] == started["rollback_id"]
    held = written(lab, "target")
    lab.until_acknowledged(40)
    until(lambda: written(lab, "target") > held, "the worker to carry the source's writes over")
    with lab.admin("target") as product, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        product.execute("DELETE FROM public.lab_writes")

    lab.stop_load(load)
    drained = lab.run("sync", "run")
    assert drained["outcome"] == "succeeded"
    status = lab.run("sync", "status")
    assert (status["direction"], status["problems"]) == ("source-to-target", [])
    verified = lab.run("sync", "verify")
    assert verified["outcome"] == "succeeded", verified
    assert {table["table"] for table in verified["tables"]} >= {"public.documents", "auth.users"}
    verdict = lab.audit()
    assert verdict.acknowledged > 100
    assert (verdict.lost, verdict.wrong) == (0, 0)

    assert lab.run("disarm")["removed"]
    for side in ("source", "target"):
        with lab.admin(side) as admin:
            assert admin.execute(_LEFT).fetchone() == (0,), side
