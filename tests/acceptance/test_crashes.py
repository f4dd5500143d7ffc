"""Killed workers and a killed Temporal: the rollback goes on as if nothing had happened."""

import os
import signal
import subprocess
import time

import pytest

from support.lab_run import LabRun, kill, until

pytestmark = [pytest.mark.servers, pytest.mark.slow]

BACKLOG_ROWS = 120_000
ALICE = ("--as", "alice", "--role", "engineering_lead")


def backlog(lab: LabRun) -> None:
    """Changes that take the drain and the verification some seconds."""
    with lab.admin("target") as target:
        target.execute(
            "INSERT INTO public.lab_writes (key, value)"
            " SELECT 'backlog-' || n, repeat(md5(n::text), 4) FROM generate_series(1, %s) n",
            (BACKLOG_ROWS,),
        )


def rows(lab: LabRun, side: str) -> list[tuple[str, str]]:
    """Every row of the backlog's table, read by plain SQL."""
    with lab.admin(side) as connection:
        return connection.execute(
            'SELECT key, value FROM public.lab_writes ORDER BY key COLLATE "C"'
        ).fetchall()


def started(lab: LabRun) -> str:
    """A level 2 that has just been approved."""
    answer = lab.run("rollback", "start", "--level", "2", "--reason", "test", "--as", "bob")
    rollback_id = str(answer["rollback_id"])
    lab.run("rollback", "approve", rollback_id, *ALICE)
    return rollback_id


def killed_in(lab: LabRun, worker: "subprocess.Popen[bytes]", activity: str) -> bool:
    """`kill -9` the worker as soon as Temporal shows an attempt of an activity under way."""
    shown = f'"{activity}"'
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described = subprocess.run(
            [
                *(lab.temporal, "workflow", "describe", "--output", "json"),
                *("--address", lab.facts["temporal"]["address"]),
                *("--workflow-id", "rollback/lab"),
            ],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        pending = described[described.find("pendingActivities") :]
        if "pendingActivities" in described and shown in pending:
            kill(worker)
            return True
    return False


def test_worker_when_killed_in_drain_and_in_verification_then_another_finishes(
    lab: LabRun,
) -> None:
    worker = lab.start_worker()
    lab.run("arm", "--no-continuous")
    load = lab.start_load(users=10, rps=40, seconds=5)
    assert load.wait(timeout=60) == 0
    backlog(lab)
    rollback_id = started(lab)

    assert killed_in(lab, worker, "catch_up")
    worker = lab.start_worker()
    assert killed_in(lab, worker, "verify_data")
    lab.start_worker()
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    result = lab.run("rollback", "report", rollback_id)

    assert result["success"], result["error"]
    assert rows(lab, "source") == rows(lab, "target")
    verdict = lab.audit()
    assert verdict.acknowledged > 50
    assert (verdict.lost, verdict.wrong) == (0, 0)


def test_temporal_when_killed_in_the_drain_then_the_rollback_goes_on(lab: LabRun) -> None:
    lab.start_worker()
    lab.run("arm", "--no-continuous")
    load = lab.start_load(users=10, rps=40, seconds=5)
    assert load.wait(timeout=60) == 0
    backlog(lab)
    rollback_id = started(lab)
    os.kill(lab.process_id("temporal"), signal.SIGKILL)
    until(lambda: lab.status().get("phase") in ("done", "failed"), "the end of the rollback")
    result = lab.run("rollback", "report", rollback_id)

    assert result["success"], result["error"]
    assert rows(lab, "source") == rows(lab, "target")
    verdict = lab.audit()
    assert (verdict.lost, verdict.wrong) == (0, 0)
