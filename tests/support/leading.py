"""Leads rollbacks of the lab's estate through approvals and gates, by the command line."""

from collections.abc import Callable
from typing import Any

from .lab_run import LabRun, until

PEOPLE = (("alice", "engineering_lead"), ("bob", "operations"))
"""Who lets levels 3 and 4 of a lab act, with the roles that they hold."""
STEPS = ("activate", "restore", "rebuild", "validate", "return_services")
"""What the gates of a recovery stand before."""


def approved(lab: LabRun, level: int, reason: str) -> str:
    """Start a rollback, and have it approved; its id."""
    words = ("rollback", "start", "--level", str(level), "--reason", reason, "--as", "carol")
    answer = lab.call("--config", lab.facts["config"], *words, "--json")
    # A worker that has no time to answer makes it an error, and the rollback goes on.
    late = answer.code != 0 and answer.facts["error"]["type"] == "UnreachableError"
    assert answer.code == 0 or late, answer
    until(lambda: lab.call("--config", lab.facts["config"], "rollback", "status").code == 3, "it")
    rollback_id = str(lab.status()["rollback_id"])
    for who, role in PEOPLE:
        lab.run("rollback", "approve", rollback_id, "--as", who, "--role", role)
    return rollback_id


def recovery(lab: LabRun) -> dict[str, Any]:
    """The newest recovery as it stands; empty before there is one."""
    answer = lab.call("--config", lab.facts["config"], "recovery", "status", "--json")
    # Before there is one, and while a worker is being replaced, an error stands there.
    return dict(answer.facts) if answer.output else {}


def waiting(lab: LabRun, step: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The gate before a step, once it waits.

    Args:
        lab: whose recovery.
        step: what comes after the gate.
        meanwhile: called over and over while the gate is waited for.
    """
    seen: dict[str, Any] = {}

    def waits() -> bool:
        meanwhile()
        gates = recovery(lab).get("gates", [])
        if gates and gates[-1]["answer"] is None:
            seen.update(gates[-1])
        return seen.get("step") == step

    until(waits, f"the gate before {step}")
    return seen


def led(lab: LabRun, meanwhile: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """Let every step of a recovery go on; its gates as they were shown."""
    shown = []
    for step in STEPS:
        gate = waiting(lab, step, meanwhile)
        assert gate["last_outcome"] == "succeeded", gate
        lab.run("recovery", "go-on", gate["gate"], "--as", "bob", "--role", "operations")
        shown.append(gate)
    return shown
