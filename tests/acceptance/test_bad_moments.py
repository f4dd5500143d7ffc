"""Commands that come at a bad moment, on an armed estate: refused with cause and cure."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from support.lab_run import LabRun, command_here, until
from support.snapshot import differences, snapshot

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def armed(shared_lab: LabRun) -> LabRun:
    """The module's lab, armed, with a worker that rollbacks can run on."""
    shared_lab.start_worker()
    shared_lab.run("arm", "--no-continuous")
    return shared_lab


def refused(lab: LabRun, *words: str, code: int = 1) -> dict[str, str]:
    """A command that must fail and change nothing; its error."""
    before = snapshot(lab)
    answer = command_here("--config", lab.facts["config"], *words, "--json")
    assert differences(before, snapshot(lab)) == []
    assert answer.code == code, answer
    error: dict[str, str] = answer.facts["error"]
    assert error["cause"].endswith((".", "?"))
    return error


def test_fence_that_is_up_already_when_armed_then_it_is_told_who_may_have_raised_it(
    armed: LabRun,
) -> None:
    with armed.admin("target") as target:
        target.execute("SELECT setval('failback.fence', 2)")
        try:
            error = refused(armed, "arm")
        finally:
            target.execute("SELECT setval('failback.fence', 1)")
    assert error["type"] == "FenceUpError"
    assert "target" in error["cause"]
    assert error["cure"]


def test_slot_that_is_gone_when_used_then_it_is_told_and_nothing_is_carried_over(
    armed: LabRun,
) -> None:
    with armed.admin("target") as target:
        found = target.execute("SELECT slot_name::text FROM pg_replication_slots").fetchall()
        ((slot,),) = found
        target.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    try:
        error = refused(armed, "sync", "run")
        assert error["type"] == "SlotLostError"
        assert slot in error["cause"]
        assert error["cure"]
        status = armed.run("sync", "status", code=1)
        assert status["problems"]
    finally:
        armed.run("disarm")
        armed.run("arm", "--no-continuous")


@pytest.fixture
def waiting(armed: LabRun) -> Iterator[str]:
    """A rollback of level 2 that bob asked for and nobody has approved; rejected afterwards."""
    started = armed.run(
        "rollback", "start", "--level", "2", "--reason", "wrong totals", "--as", "bob"
    )
    armed.until_step("waiting_for_approval")
    yield started["rollback_id"]
    decision = ("--as", "alice", "--role", "engineering_lead")
    armed.run("rollback", "reject", started["rollback_id"], *decision)
    until(lambda: armed.status()["phase"] == "rejected", "the end of the rollback")


@pytest.mark.parametrize("level", ["1", "2"])
def test_rollback_when_one_is_running_then_the_running_one_is_named_and_goes_on(
    armed: LabRun, waiting: str, level: str
) -> None:
    error = refused(armed, "rollback", "start", "--level", level, "--reason", "errors")
    assert error["type"] == "RollbackRunningError"
    assert waiting in error["cause"]
    assert f"failback rollback watch {waiting}" in error["cure"]
    status = armed.status()
    assert (status["rollback_id"], status["phase"]) == (waiting, "waiting_for_approval")


def test_disarm_when_a_rollback_is_running_then_it_is_refused(armed: LabRun, waiting: str) -> None:
    error = refused(armed, "disarm")
    assert error["type"] == "RollbackRunningError"
    assert waiting in error["cause"]


@pytest.mark.parametrize(
    ("who", "role", "told"),
    [
        ("mallory", "engineering_lead", "Nobody known is called 'mallory'"),
        ("alice", "operations", "alice does not hold the role 'operations'"),
        ("carol", "executive", "The role 'executive' does not approve this level"),
        ("bob", "operations", "bob asked for this rollback"),
        ("", "operations", "needs a name"),
    ],
    ids=["unknown", "role not held", "role that counts not", "who asked", "no name"],
)
def test_approval_that_does_not_count_when_given_then_the_rollback_waits_on(
    armed: LabRun, waiting: str, who: str, role: str, told: str
) -> None:
    error = refused(armed, "rollback", "approve", waiting, "--as", who, "--role", role)
    assert error["type"] == "ApprovalRefusedError"
    assert told in error["cause"]
    status = armed.status()
    assert (status["phase"], status["approvals_given"]) == ("waiting_for_approval", 0)
    assert status["decisions"] == []


def signal(lab: LabRun, payload: str) -> None:
    """An `approve` by Temporal's own command line."""
    subprocess.run(
        [
            *(lab.temporal, "workflow", "signal", "--name", "approve"),
            *("--address", lab.facts["temporal"]["address"]),
            *("--workflow-id", f"rollback/{lab.facts['name']}", "--input", payload),
        ],
        check=True,
        capture_output=True,
    )


def test_signal_by_nobody_known_when_sent_then_it_is_kept_with_why_it_does_not_count(
    armed: LabRun, waiting: str
) -> None:
    before = snapshot(armed)
    signal(armed, json.dumps({"who": "mallory", "role": "engineering_lead"}))
    until(lambda: bool(armed.status()["decisions"]), "the signal")

    status = armed.status()
    (decision,) = status["decisions"]
    assert (decision["who"], decision["counted"]) == ("mallory", False)
    assert "Nobody known is called 'mallory'" in decision["why_not"]
    assert status["phase"] == "waiting_for_approval"
    assert status["rollback_id"] == waiting
    assert differences(before, snapshot(armed)) == []


@pytest.mark.parametrize("payload", ['"alice"', "{}", '{"role": "operations"}', "[1, 2]"])
def test_signal_that_is_no_decision_when_sent_then_the_rollback_waits_on(
    armed: LabRun, waiting: str, payload: str
) -> None:
    signal(armed, payload)
    signal(armed, json.dumps({"who": "mallory", "comment": "after it"}))
    until(lambda: bool(armed.status()["decisions"]), "the signal after it")

    status = armed.status()
    assert [decision["who"] for decision in status["decisions"]] == ["mallory"]
    assert (status["phase"], status["rollback_id"]) == ("waiting_for_approval", waiting)


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel", "accept-tail"])
def test_decision_about_a_rollback_that_is_not_there_then_it_is_told(
    armed: LabRun, waiting: str, verb: str
) -> None:
    error = refused(armed, "rollback", verb, "rb2-19700101T000000-beef", "--as", "alice")
    assert error["type"] == "RollbackNotFoundError"
    assert "rb2-19700101T000000-beef" in error["cause"]
    assert "rollback list" in error["cure"]
    assert armed.status()["rollback_id"] == waiting


def test_decision_when_the_rollback_has_ended_then_it_is_told(armed: LabRun) -> None:
    started = armed.run("rollback", "start", "--level", "2", "--reason", "x", "--as", "bob")
    decision = (started["rollback_id"], "--as", "alice", "--role", "engineering_lead")
    armed.run("rollback", "reject", *decision)
    until(lambda: armed.status()["phase"] == "rejected", "the end of the rollback")

    error = refused(armed, "rollback", "approve", *decision)
    assert started["rollback_id"] in error["cause"]
    assert "ended" in error["cause"]
