"""From an alert to the last request that the broken target serves, with nobody touching anything.

Changes when such a rollback is provoked or timed in another way. The real Prometheus and
Alertmanager of the lab watch it; the clock starts when the gateway has read the alert that led to
the decision, and stops when the load has the target's last answer.
"""

import socket
import subprocess
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.rollbacks import a_lab
from bench.support.measure import Samples, seconds
from bench.support.options import Options
from bench.support.table import Row, unmeasured
from failback.models.common import Side
from tests.support.lab_run import LabRun, command_here, until

WORK = "alert received to last request served by the target, level 1, p95"
_MOST = 1.0
_USERS, _REQUESTS_PER_SECOND = 20, 60
_LOAD_SECONDS = 120
_WARM_WRITES = 60
_AFTER_WRITES = 15
_BACKENDS = ("rest", "auth", "storage", "functions", "database")


def run(options: Options) -> list[Row]:
    """Break the target again and again; return the table's row."""
    with a_lab("--detection") as lab:
        if not lab.facts["detection"]["on"]:
            return [unmeasured(WORK, "–", f"≤ {seconds(_MOST)}", lab.facts["detection"]["why"])]
        # There are hundreds of them, and a process of its own takes most of a second.
        lab.call = command_here
        _allow_many(Path(lab.facts["config"]))
        worker = lab.start_worker()
        lab.run("arm")
        took, decided, lost, alerts = Samples(), Samples(), 0, Counter[str]()
        for turn in range(options.alerts):
            if turn:
                worker = _return_to_the_target(lab, worker)
            broken = _broken(lab)
            took.seconds.append(broken.served_seconds)
            decided.seconds.append(broken.decided_seconds)
            alerts[broken.alert] += 1
            lost += broken.lost
            options.say(f"alerts: {turn + 1}: {seconds(broken.served_seconds)}")
    p95 = took.quantile(0.95)
    return [
        Row(
            WORK,
            "–",
            f"{seconds(p95)} p95, {took.text()}",
            "–",
            f"≤ {seconds(_MOST)}",
            p95 <= _MOST and not lost,
            (
                f"`failback lab break errors` under {_USERS} users and {_REQUESTS_PER_SECOND} "
                f"requests/s, {len(took.seconds)} times, the traffic returned in between; from the "
                f"gateway's reading of the alert ({_named(alerts)}) to the load's last answer from "
                f"the target; decided after {seconds(decided.median)} p50; {lost} acknowledged "
                "writes lost; the detector of unusual patterns is off in the lab"
            ),
        )
    ]


class _Broken:
    """One rollback that an alert led to.

    Args:
        summary: of the load.
        alerts: alerts of the audit log.
        decision: the decision that started the rollback.
        lost: acknowledged writes that the source lacks, or has otherwise.
    """

    def __init__(
        self,
        summary: dict[str, Any],
        alerts: list[dict[str, Any]],
        decision: dict[str, Any],
        lost: int,
    ) -> None:
        at = _time(decision)
        came = [one for one in alerts if one["body"]["status"] == "firing" and _time(one) <= at]
        newest = max(came, key=_time)
        received = _time(newest)
        last = datetime.fromisoformat(summary["last_answer_at"][Side.TARGET.value])
        self.alert = str(newest["body"]["name"])
        self.served_seconds = (last - received).total_seconds()
        self.decided_seconds = (at - received).total_seconds()
        self.lost = lost


def _allow_many(config: Path) -> None:
    """Let automatic rollbacks follow each other; the worker is started after this."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["decision"] |= {"cool_down_seconds": 0, "automatic_at_most": 1000}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")


def _broken(lab: LabRun) -> _Broken:
    """Customers, a broken target, and the rollback that nobody starts."""
    lab.journal.unlink(missing_ok=True)
    (lab.folder / "load.log").unlink(missing_ok=True)
    load = lab.start_load(users=_USERS, rps=_REQUESTS_PER_SECOND, seconds=_LOAD_SECONDS)
    lab.until_acknowledged(_WARM_WRITES)
    before = len(_decisions(lab))
    lab.lab_command("break", "errors")
    until(lambda: len(_decisions(lab)) > before, "a rollback that nobody started")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    lab.lab_command("heal", "errors")
    lab.until_acknowledged(_AFTER_WRITES)
    lab.stop_load(load)
    verdict = lab.audit()
    return _Broken(
        lab.load_summary(),
        _entries(lab, "alert"),
        _decisions(lab)[before],
        verdict.lost + verdict.wrong,
    )


def _return_to_the_target(
    lab: LabRun, worker: "subprocess.Popen[bytes]"
) -> "subprocess.Popen[bytes]":
    """Carry the source's changes over, and make the target live again (docs/reprotect.md).

    Returns:
        A new worker, in place of the one that had to stand aside.
    """
    lab.run("reprotect")
    # Earlier, the same alert would be right to take it back at once.
    until(lambda: _firing(lab) == 0, "the alerts to be over")
    # A batch of the worker that compares less would undo the proof that opens the target.
    worker.terminate()
    worker.wait(timeout=30)
    lab.run("fence", "raise", "source")
    lab.run("sync", "run")
    lab.run("fence", "lift", "target")
    with socket.socket(socket.AF_UNIX) as balancer:
        balancer.connect(lab.facts["balancer"]["runtime_api"].removeprefix("unix://"))
        weights = {Side.TARGET: 100, Side.SOURCE: 0}
        commands = [
            f"set server {backend}/{side.value} weight {weight}"
            for backend in _BACKENDS
            for side, weight in weights.items()
        ]
        balancer.sendall(f"{';'.join(commands)}\n".encode())
        while balancer.recv(4096):
            pass
    lab.run("arm")
    return lab.start_worker()


def _firing(lab: LabRun) -> int:
    # Its exit code is not 0 while one fires.
    answer = lab.call("--config", lab.facts["config"], "alerts", "status", "--json")
    return int(answer.facts["firing"])


def _decisions(lab: LabRun) -> list[dict[str, Any]]:
    """Those that started a rollback, oldest first."""
    return [one for one in _entries(lab, "decision") if one["body"]["action"] == "roll_back"]


def _entries(lab: LabRun, kind: str) -> list[dict[str, Any]]:
    return list(lab.run("audit", "list", "--kind", kind, "--limit", "5000")["entries"])


def _time(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _named(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}×" for name, count in counted.most_common())
