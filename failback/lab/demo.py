"""`make demo`: a live estate under load, its target broken, taken back to the source.

Everything is done by the commands that an operator types, so that what works here works by
hand; each line that it prints says what happens and why.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from failback.errors import FailbackError, LabError
from failback.lab.audit import AuditReport, audit
from failback.lab.binaries import temporal_program
from failback.models.messages import DeliveryReport
from failback.models.rollback import RollbackResult
from failback.reports.facts import ReportExtras
from failback.reports.html import render

USERS = 40
REQUESTS_PER_SECOND = 150
LOAD_SECONDS = 240
"""Their bound; they are told to end as soon as enough was written on the source."""
WARM_WRITES = 600
"""Acknowledged writes before the target is broken."""
AFTER_WRITES = 400
"""Further ones that the demo waits for after the rollback."""
STEP_SECONDS = 120.0


class Demo:
    """One run of the demo.

    Args:
        folder: where the lab lives while it runs, and report and journal stay.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lab = folder / "lab"
        self._journal = folder / "journal.jsonl"
        self._report = folder / "report.html"
        self._began = time.monotonic()

    def run(self) -> int:
        """Tell the story; 0 when nothing was lost, else 1."""
        self._start_afresh()
        with self._lab_up() as facts:
            config = facts["config"]
            self._say("Asking failback whether it can reach every part, with the rights it needs.")
            # 3: without customers there are no metrics yet.
            self._failback("--config", config, "check", allowed=(0, 3))
            self._say("Arming: fence and capture on the target, proved by a canary row.")
            armed = self._facts("--config", config, "arm")
            self._say(f"Armed {len(armed['tables'])} tables by {armed['capture']}.")
            with self._load() as load:
                result = self._roll_back(config, facts)
                self._until_acknowledged(self._acknowledged() + AFTER_WRITES)
                self._say("Letting the customers finish on the source.")
                summary = self._summary_of(load)
            self._tell_who_was_told(config, result.rollback_id)
            self._say("Comparing every acknowledged write with the source.")
            verdict = audit(self._journal, facts["source"]["admin_dsn"])
            self._write_report(result, verdict, summary)
        self._tell(result, verdict, summary)
        return 0 if result.success and verdict.clean else 1

    # The chapters.

    def _start_afresh(self) -> None:
        """Forget what an earlier demo left."""
        if self._lab.exists():
            with contextlib.suppress(LabError):
                self._failback("lab", "down", "--dir", str(self._lab))
            shutil.rmtree(self._lab, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lab_up(self) -> Iterator[dict[str, Any]]:
        """A lab that is gone afterwards, whatever happened."""
        self._say("Booting the lab: Temporal, Postgres 16 and 18, HAProxy, DNS, the product twice,")
        self._say("and what watches it: Prometheus, Alertmanager, failback's worker and gateway.")
        try:
            # In mode automatic it would be level 1 before a person has read this.
            up = ("lab", "up", "--worker", "--mode", "recommend")
            yield self._facts(*up, "--dir", str(self._lab))
        finally:
            self._say("Taking the lab down; nothing of it stays but report and journal.")
            self._failback("lab", "down", "--dir", str(self._lab))
            shutil.rmtree(self._lab, ignore_errors=True)

    @contextlib.contextmanager
    def _load(self) -> Iterator["subprocess.Popen[str]"]:
        """Customers, until the body is through."""
        self._say(
            f"{USERS} customers write, read and log in, {REQUESTS_PER_SECOND} requests a second."
        )
        load = subprocess.Popen(
            [
                *(_program(), "lab", "load", "--dir", str(self._lab), "--json"),
                *("--journal", str(self._journal), "--users", str(USERS)),
                *("--rps", str(REQUESTS_PER_SECOND), "--seconds", str(LOAD_SECONDS)),
                "--no-objects",  # level 2 leaves them on the target
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield load
        finally:
            if load.poll() is None:
                load.terminate()
            load.wait()

    def _roll_back(self, config: str, facts: dict[str, Any]) -> RollbackResult:
        """Break the target, start level 2, approve it as an operator would."""
        self._until_acknowledged(WARM_WRITES)
        self._say("Breaking the target: a share of its answers are errors now.")
        self._failback("lab", "break", "errors", "--dir", str(self._lab))
        self._tell_of_the_alert(config, facts)
        self._say("Starting level 2. It waits until a person has approved it.")
        started = self._facts(
            *("--config", config, "rollback", "start", "--level", "2", "--as", "bob"),
            *("--reason", "the target answers with errors"),
        )
        self._say("Approving as alice, by the real `temporal workflow signal`.")
        decision = {"who": "alice", "role": "engineering_lead", "comment": "take it back"}
        self._command(
            [
                *(str(temporal_program()), "workflow", "signal", "--name", "approve"),
                *("--address", facts["temporal"]["address"]),
                *("--workflow-id", f"rollback/{started['estate']}"),
                *("--input", json.dumps(decision)),
            ]
        )
        self._say("Fence, drain, proof, flip: waiting for the end of the rollback.")
        rollback_id = started["rollback_id"]
        self._failback("--config", config, "rollback", "watch", rollback_id, allowed=(0, 1, 3))
        report = self._facts(
            *("--config", config, "rollback", "report", rollback_id), allowed=(0, 1, 3)
        )
        return RollbackResult.model_validate(report)

    def _tell_of_the_alert(self, config: str, facts: dict[str, Any]) -> None:
        """What detection made of it; failback waits for a person in the mode of this lab."""
        if not facts["detection"]["on"]:
            self._say(f"Nobody is alerted: {facts['detection']['why']}.")
            return
        self._say("Waiting for the alert: Prometheus, Alertmanager, the gateway, a decision.")
        found: dict[str, Any] = {}

        def recommended() -> bool:
            # 1: no alert has come yet.
            status = self._facts("--config", config, "alerts", "status", allowed=(0, 1, 3))
            found.update(status.get("decided") or {})
            return found.get("decision") == "IMMEDIATE_ROLLBACK"

        _wait(recommended, "a decision")
        self._say(f"failback recommends {found['decision']}: {found['explanation']}")

    def _tell_who_was_told(self, config: str, rollback_id: str) -> None:
        listed = self._facts("--config", config, "notify", "list", rollback_id, allowed=(0, 3))
        deliveries = DeliveryReport.model_validate(listed).deliveries
        late = sum(not one.delivered or one.in_time is False for one in deliveries)
        channels = {one.channel for one in deliveries}
        slowest = max((one.took_seconds or 0.0 for one in deliveries), default=0.0)
        self._say(
            f"{len(deliveries)} messages were taken by {len(channels)} channels "
            f"({', '.join(sorted(channels))}), {late} late, the slowest after {slowest:.2f} s."
        )

    def _summary_of(self, load: "subprocess.Popen[str]") -> dict[str, Any]:
        """What the load says of itself once it was told to end."""
        load.terminate()
        output, _ = load.communicate(timeout=STEP_SECONDS)
        return dict(json.loads(output))

    def _write_report(
        self, result: RollbackResult, verdict: AuditReport, summary: dict[str, Any]
    ) -> None:
        extras = ReportExtras(
            acknowledged=verdict.acknowledged,
            lost=verdict.lost,
            wrong=verdict.wrong,
            write_gap_seconds=summary["write_gap_seconds"],
            requests=summary["requests"],
            requests_failed=summary["failed"],
            failed_by_side=summary["failed_by_side"],
            requests_since_flip=summary["requests_since_flip"],
            failed_since_flip=summary["failed_since_flip"],
            journal=self._journal.name,
        )
        self._report.write_text(render(result, extras), encoding="utf-8")

    def _tell(self, result: RollbackResult, verdict: AuditReport, summary: dict[str, Any]) -> None:
        """The figures that matter, one a line."""
        children = [step for child in result.children for step in child.steps]
        lines = ["", f"{verdict.sentence}", ""]
        for step in (*result.steps, *children):
            took = step.seconds or 0.0
            lines.append(
                f"  {step.name:<18} {took:8.3f} s of {step.budget_seconds:5.0f} s"
                f"   {step.outcome.value if step.outcome else 'running'}"
            )
        availability = result.service_availability
        lines += [
            "",
            (
                f"rollback {result.rollback_id}: "
                f"{'succeeded' if result.success else f'FAILED: {result.error}'} "
                f"in {result.execution_seconds:.2f} s"
            ),
            f"availability: {'not measured' if availability is None else f'{availability:.2%}'}",
            (
                f"write gap: {_seconds(summary['write_gap_seconds'])} seen by customers, "
                f"{_seconds(result.write_gap_seconds)} between the door's closing and opening"
            ),
            f"failed requests: {_failures(summary)}",
            f"lag before the fence: {_seconds(result.lag_before_fence_seconds)}",
            f"report: {self._report}",
            f"lost: {verdict.lost}",
        ]
        for line in lines:
            _print(line)

    # Mechanics.

    def _until_acknowledged(self, wanted: int) -> None:
        """Wait for so many acknowledged writes in the journal."""
        _wait(lambda: self._acknowledged() >= wanted, f"{wanted} acknowledged writes")

    def _acknowledged(self) -> int:
        if not self._journal.exists():
            return 0
        with self._journal.open(encoding="utf-8") as lines:
            return sum('"acknowledged"' in line for line in lines)

    def _say(self, sentence: str) -> None:
        _print(f"[{time.monotonic() - self._began:5.1f} s] {sentence}")

    def _facts(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """What a command says with --json."""
        text = self._failback(*arguments, "--json", allowed=allowed)
        return dict(json.loads(text))

    def _failback(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        return self._command([_program(), *arguments], allowed=allowed)

    def _command(self, command: list[str], allowed: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end; its output."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=STEP_SECONDS
        )
        if done.returncode not in allowed:
            raise LabError(
                f"`{Path(command[0]).name} {' '.join(command[1:])}` ended with "
                f"{done.returncode}: {done.stderr.strip()} {done.stdout.strip()[-2000:]}"
            )
        return done.stdout


def _program() -> str:
    """The `failback` beside this interpreter; its link is not resolved."""
    return str(Path(sys.executable).parent / "failback")


def _wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + STEP_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise LabError(f"Waited {STEP_SECONDS:.0f} s in vain for {what}.")
        time.sleep(0.1)


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f} s"


def _failures(summary: dict[str, Any]) -> str:
    """Failed requests by who answered; what the broken target failed is why it is left."""
    by_side = summary["failed_by_side"]
    told = f"{by_side.get('target', 0)} by the broken target, {by_side.get('source', 0)} by the "
    told += f"source, {by_side.get('nobody', 0)} without an answer"
    if summary["requests_since_flip"] is not None:
        told += f"; since the flip {summary['failed_since_flip']}"
        told += f" of {summary['requests_since_flip']}"
    return told


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demo; the exit code is the CLI's."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("demo"))
    try:
        return Demo(parser.parse_args().dir).run()
    except (FailbackError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
