"""From an alert to the last request that the broken target serves, with nobody touching anything.

Changes when such a rollback is provoked or timed in another way. The real Prometheus and
Alertmanager of the lab watch it; the clock stops when the load has the target's last answer.

It starts when a rollback is asked for. Alerts about the monitors come as soon as a value is out of
bounds, when the matrix says to go on until that has lasted for a time; then nobody needs to say
more. So the clock starts at whichever comes first: the gateway has read an alert whose action is a
rollback; or it has read any alert, and what the rule asks for has lasted for its time, by the
evidence of the decision itself. What passed since the first alert of any kind is told as well.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bench.rollbacks import a_lab
from bench.support.measure import Samples, seconds
from bench.support.options import Options
from bench.support.table import Row, unmeasured
from failback.config import load as load_config
from failback.models.common import Side
from failback.models.decision import DecisionKind, RuleVerdict
from tests.support.lab_run import LabRun, command_here, until
from tests.support.returning import return_to_the_target

WORK = "alert received to last request served by the target, level 1, p95"
_MOST = 1.0
_USERS, _REQUESTS_PER_SECOND = 20, 60
_LOAD_SECONDS = 120
_WARM_WRITES = 60
_AFTER_WRITES = 15
_LASTED = "a threshold that has lasted"


def run(options: Options) -> list[Row]:
    """Break the target again and again; return the table's row."""
    with a_lab("--detection") as lab:
        if not lab.facts["detection"]["on"]:
            return [unmeasured(WORK, "–", f"≤ {seconds(_MOST)}", lab.facts["detection"]["why"])]
        # There are hundreds of them, and a process of its own takes most of a second.
        lab.call = command_here
        _allow_many(Path(lab.facts["config"]))
        lab.start_worker()
        lab.run("arm")
        took, decided, whole = Samples(), Samples(), Samples()
        lost, asked = 0, Counter[str]()
        for turn in range(options.alerts):
            if turn:
                # Earlier, the same alert would be right to take it back at once.
                return_to_the_target(
                    lab, lambda: until(lambda: _firing(lab) == 0, "the alerts to be over")
                )
            broken = _broken(lab)
            took.seconds.append(broken.served_seconds)
            decided.seconds.append(broken.decided_seconds)
            if broken.whole_seconds is not None:
                whole.seconds.append(broken.whole_seconds)
            asked[broken.asked_by] += 1
            lost += broken.lost
            options.say(
                f"alerts: {turn + 1}: {seconds(broken.served_seconds)} after {broken.asked_by}"
            )
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
                f"moment at which a rollback is asked for ({_named(asked)}) to the load's last "
                "answer from the target, by evidence of four points a second; decided after "
                f"{seconds(decided.median)} p50; {_whole(whole)}{lost} acknowledged writes lost; "
                "the detector of unusual patterns is off in the lab"
            ),
        )
    ]


class Broken:
    """One rollback that an alert led to.

    Args:
        summary: of the load.
        alerts: those that began to fire after it was broken.
        decision: the decision that started the rollback.
        times: for how long each rule's threshold has to be passed.
        lost: acknowledged writes that the source lacks, or has otherwise.
    """

    def __init__(
        self,
        summary: dict[str, Any],
        alerts: list[dict[str, Any]],
        decision: dict[str, Any],
        times: Mapping[str, timedelta],
        lost: int,
    ) -> None:
        at = _time(decision)
        last = datetime.fromisoformat(summary["last_answer_at"][Side.TARGET.value])
        lasted = min(
            datetime.fromisoformat(reading["since"]) + times[reading["rule"]]
            for reading in decision["body"]["readings"]
            if reading["verdict"] == RuleVerdict.FIRED.value
        )
        came = [_time(one) for one in alerts if _time(one) <= at]
        # It looks by itself for a while after earlier alerts, and may be faster than the next one.
        how = _LASTED if came else f"{_LASTED}, before any alert"
        asked = {how: max(min(came, default=lasted), lasted)} | {
            str(one["body"]["name"]): _time(one)
            for one in alerts
            if one["body"]["labels"].get("action") == DecisionKind.IMMEDIATE_ROLLBACK.value
        }
        self.asked_by = min(asked, key=lambda name: asked[name])
        self.served_seconds = (last - asked[self.asked_by]).total_seconds()
        self.decided_seconds = (at - asked[self.asked_by]).total_seconds()
        self.whole_seconds = (last - min(came)).total_seconds() if came else None
        self.lost = lost


def _allow_many(config: Path) -> None:
    """Let automatic rollbacks follow each other; the worker is started after this."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["decision"] |= {"cool_down_seconds": 0, "automatic_at_most": 1000}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")


def _broken(lab: LabRun) -> Broken:
    """Customers, a broken target, and the rollback that nobody starts."""
    lab.journal.unlink(missing_ok=True)
    (lab.folder / "load.log").unlink(missing_ok=True)
    load = lab.start_load(users=_USERS, rps=_REQUESTS_PER_SECOND, seconds=_LOAD_SECONDS)
    lab.until_acknowledged(_WARM_WRITES)
    before, known = len(_decisions(lab)), len(_entries(lab, "alert"))
    lab.lab_command("break", "errors")
    until(lambda: len(_decisions(lab)) > before, "a rollback that nobody started")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    lab.lab_command("heal", "errors")
    lab.until_acknowledged(_AFTER_WRITES)
    lab.stop_load(load)
    verdict = lab.audit()
    new = _entries(lab, "alert")[known:]
    return Broken(
        lab.load_summary(),
        [one for one in new if one["body"]["status"] == "firing"],
        _decisions(lab)[before],
        {
            rule.name: timedelta(seconds=rule.sustained_seconds)
            for rule in load_config(Path(lab.facts["config"])).rules
        },
        verdict.lost + verdict.wrong,
    )


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


def _whole(samples: Samples) -> str:
    """What passed since the first alert, where one came before the decision."""
    if not samples.seconds:
        return ""
    return (
        f"from the first alert of any kind ({len(samples.seconds)} times), with what was left of "
        f"the rule's own time, {seconds(samples.median)} p50 and "
        f"{seconds(samples.quantile(0.95))} p95; "
    )


def _named(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}×" for name, count in counted.most_common())
