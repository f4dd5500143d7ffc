"""Whole rollbacks of the lab under load, by the command line: the write gap that customers see.

Changes when a rollback is driven or its gap is taken in another way. The gap is the load's own:
from the last write that the target acknowledged to the first that the source did.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.support.measure import Samples, seconds
from bench.support.options import Options
from bench.support.table import Row
from tests.support.lab_run import LabRun, command, until

_MOST_GAP = 0.3
_USERS, _REQUESTS_PER_SECOND = 20, 60
_LOAD_SECONDS = 60
_WARM_WRITES = 200


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    gaps, ours, first, lost = Samples(), Samples(), Samples(), 0
    failed, problems = 0, list[str]()
    for turn in range(options.labs):
        for level in (2, 1):
            with a_lab() as lab:
                result, summary = _rolled_back(lab, level)
                verdict = lab.audit()
                lost += verdict.lost + verdict.wrong
            failed += summary["failed"]
            if not result["success"]:
                problems.append(f"level {level}: {result['error']}")
            if level == 2:
                gaps.seconds.append(summary["write_gap_seconds"])
                ours.seconds.append(result["write_gap_seconds"])
            else:
                first.seconds.append(_until_released(result))
        options.say(f"rollbacks: {turn + 1}: gap {seconds(gaps.seconds[-1])}")
    note = (
        f"{options.labs} rollbacks of each level under {_USERS} users and {_REQUESTS_PER_SECOND} "
        f"requests/s; {lost} acknowledged writes lost, {failed} requests failed; the door was "
        f"closed for {seconds(ours.median)} p50"
        + "".join(f"; a rollback ended with an error, {problem}" for problem in problems)
    )
    return [
        Row(
            "write gap of a warm level 2, as customers see it, p50",
            "others report 0.3–0.4 s (a tuned Vitess), less than 1 s (PgDog), 3 s (PgBouncer)",
            gaps.text(),
            "–",
            f"≤ {seconds(_MOST_GAP)}",
            gaps.median <= _MOST_GAP and not (lost or problems),
            note,
        ),
        Row(
            "level 1, from its start to held requests answered by the source",
            "–",
            first.text(),
            "–",
            "–",
            None,
            f"{len(first.seconds)} times, p95 {seconds(first.quantile(0.95))}",
        ),
    ]


def _rolled_back(lab: LabRun, level: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One rollback under load; its result, and what the load saw."""
    lab.start_worker()
    lab.run("arm")
    load = lab.start_load(users=_USERS, rps=_REQUESTS_PER_SECOND, seconds=_LOAD_SECONDS)
    lab.until_acknowledged(_WARM_WRITES)
    words = ("rollback", "start", "--level", str(level), "--reason", "benchmark", "--as", "bob")
    if level == 1:
        result = command("--config", lab.facts["config"], *words, "--wait", "--json").facts
    else:
        started = lab.run(*words)
        lab.until_step("waiting_for_approval")
        decision = ("--as", "alice", "--role", "engineering_lead")
        lab.run("rollback", "approve", started["rollback_id"], *decision)
        until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
        report = ("rollback", "report", started["rollback_id"], "--json")
        result = command("--config", lab.facts["config"], *report).facts
    lab.until_acknowledged(_WARM_WRITES // 4)
    load.terminate()
    load.wait(timeout=30)
    return result, lab.load_summary()


def _until_released(result: dict[str, Any]) -> float:
    began, released = (
        datetime.fromisoformat(result[name]) for name in ("started_at", "released_at")
    )
    return (released - began).total_seconds()


@contextmanager
def a_lab(*options: str) -> Iterator[LabRun]:
    """A new lab, gone with its data at the end.

    Args:
        options: more of `failback lab up`.
    """
    with tempfile.TemporaryDirectory(prefix="failback-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        up = ("lab", "up", "--dir", str(folder / "lab"), "--no-system", "--json")
        answer = command(*up, *options, seconds=150)
        if answer.code != 0:
            raise RuntimeError(f"the lab did not start: {answer}")
        run = LabRun(folder=folder, facts=answer.facts)
        try:
            yield run
        finally:
            run.close()
            command("lab", "down", "--dir", str(folder / "lab"), "--purge")
