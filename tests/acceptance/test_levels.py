"""Levels 1 and 2 on the whole lab, as an operator runs them."""

import json
import subprocess

import dns.message
import dns.query
import dns.rdatatype
import pytest

from support.lab_run import LabRun, command, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]

BACKENDS = ["database", "rest", "auth", "storage", "functions"]


def weights(lab: LabRun) -> dict[str, str]:
    """Weights by backend, as `check` reads them back from the balancer."""
    findings = command("--config", lab.facts["config"], "check", "--json").facts["findings"]
    return {
        finding["question"].split()[2]: finding["detail"]
        for finding in findings
        if finding["part"] == "balancer" and "has both servers" in finding["question"]
    }


def answer_of(lab: LabRun, name: str) -> str:
    """What the lab's name server says about a name."""
    host, _, port = lab.facts["dns"]["address"].rpartition(":")
    query = dns.message.make_query(name, dns.rdatatype.CNAME)
    response = dns.query.udp(query, host, port=int(port), timeout=5)
    return str(response.answer[0][0])


def test_level_1_when_armed_under_load_then_everything_is_on_the_source_and_nothing_is_lost(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm")
    load = lab.start_load(users=10, rps=40, seconds=300)
    lab.until_acknowledged(60)
    result = lab.run("rollback", "start", "--level", "1", "--reason", "errors", "--wait")

    assert result["success"], result["error"]
    assert result["execution_seconds"] < 30
    assert {step["outcome"] for step in result["steps"]} == {"succeeded"}
    assert weights(lab) == dict.fromkeys(BACKENDS, "source 100, target 0")
    zone = lab.facts["dns"]["zone"]
    assert {answer_of(lab, f"{name}.{zone}") for name in ("api", "auth")} == {f"source.{zone}"}
    lab.until_acknowledged(20)
    lab.stop_load(load)
    verdict = lab.audit()
    assert verdict.acknowledged > 60
    assert (verdict.lost, verdict.wrong) == (0, 0)
    assert lab.run("fence", "status") == {"source_fenced": False, "target_fenced": True}
    refused = lab.run("fence", "lift", "target", code=1)
    assert "one_writer" in refused["error"]["cause"]


def test_level_2_when_warm_under_load_then_holds_requests_instead_of_failing_them(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm")
    load = lab.start_load(users=20, rps=60, seconds=300)
    lab.until_acknowledged(100)
    started = lab.run(
        "rollback", "start", "--level", "2", "--reason", "wrong totals", "--as", "bob"
    )
    lab.until_step("waiting_for_approval")
    subprocess.run(
        [
            *(lab.temporal, "workflow", "signal", "--name", "approve"),
            *("--address", lab.facts["temporal"]["address"]),
            *("--workflow-id", f"rollback/{started['estate']}"),
            *("--input", json.dumps({"who": "alice", "role": "engineering_lead"})),
        ],
        check=True,
        capture_output=True,
    )
    lab.run("rollback", "watch", started["rollback_id"])
    result = lab.run("rollback", "report", started["rollback_id"])
    lab.until_acknowledged(50)
    lab.stop_load(load)

    assert result["success"], result["error"]
    assert result["write_gap_seconds"] is not None
    assert result["service_availability"] == 1.0
    assert result["verification"]["exact"]
    summary = lab.load_summary()
    assert summary["failed"] == 0, summary
    assert summary["acknowledged_by_side"]["source"] > 0
    verdict = lab.audit()
    assert (verdict.lost, verdict.wrong) == (0, 0)


def test_level_2_when_the_source_goes_down_during_the_drain_then_the_tail_arrives_later(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm", "--no-continuous")
    load = lab.start_load(users=10, rps=40, seconds=8)
    assert load.wait(timeout=60) == 0
    started = lab.run(
        "rollback", "start", "--level", "2", "--reason", "wrong totals", "--as", "bob"
    )
    lab.lab_command("break", "source-down")
    decision = ("--as", "alice", "--role", "engineering_lead")
    lab.run("rollback", "approve", started["rollback_id"], *decision)
    lab.until_step("draining_tail")
    lab.lab_command("heal", "source-down")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    result = lab.run("rollback", "report", started["rollback_id"], code=1)

    assert not result["success"]
    assert result["emergency_action"] == "IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC"
    assert result["data_loss"]["tail"] == "empty"
    verdict = lab.audit()
    assert verdict.acknowledged > 50
    assert (verdict.lost, verdict.wrong) == (0, 0)


def test_level_1_when_the_target_is_down_then_serves_at_once_and_the_tail_arrives_later(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm", "--no-continuous")
    load = lab.start_load(users=10, rps=40, seconds=6)
    assert load.wait(timeout=60) == 0
    lab.lab_command("break", "target-down")
    started = lab.run("rollback", "start", "--level", "1", "--reason", "target down")
    lab.until_step("draining_tail")
    assert set(weights(lab)) == set(BACKENDS)
    assert all(seen.startswith("source 100, target 0") for seen in weights(lab).values())
    lab.lab_command("heal", "target-down")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    result = lab.run("rollback", "report", started["rollback_id"])

    assert result["success"], result["error"]
    assert result["data_loss"]["tail"] == "empty"
    verdict = lab.audit()
    assert verdict.acknowledged > 50
    assert (verdict.lost, verdict.wrong) == (0, 0)
