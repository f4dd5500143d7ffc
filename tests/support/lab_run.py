"""The whole lab, driven by the command line as an operator drives it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from failback.cli.entry import run
from failback.lab.audit import AuditReport, audit
from failback.lab.binaries import temporal_program

FAILBACK = str(Path(sys.executable).parent / "failback")
DEADLINE_SECONDS = 90.0


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    output: str
    errors: str

    @property
    def facts(self) -> Any:
        """Its JSON document."""
        return json.loads(self.output)


def command(*arguments: str, seconds: float = DEADLINE_SECONDS) -> Answer:
    """Run `failback` to its end as a shell does: a process with its own streams and exit code."""
    done = subprocess.run(
        [FAILBACK, *arguments], capture_output=True, text=True, check=False, timeout=seconds
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def command_here(*arguments: str) -> Answer:
    """The same in this process: one of its own takes most of a second to import what it needs."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = run(arguments)
    return Answer(code, output.getvalue(), errors.getvalue())


def until(reached: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.05)


@dataclass
class LabRun:
    """A lab that is up, with what a test starts beside it."""

    folder: Path
    facts: dict[str, Any]
    call: Callable[..., Answer] = command
    """How command lines are run: `command`, or `command_here` where there are many of them."""
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def lab(self) -> str:
        """The lab's folder as an argument."""
        return str(self.folder / "lab")

    @property
    def journal(self) -> Path:
        """The file of acknowledged writes."""
        return self.folder / "journal.jsonl"

    def run(self, *arguments: str, code: int = 0) -> Any:
        """A command on the lab's estate with --json; its facts, once its exit code is as told."""
        answer = self.call("--config", self.facts["config"], *arguments, "--json")
        assert answer.code == code, f"{arguments} ended with {answer.code}: {answer}"
        return answer.facts

    def lab_command(self, *arguments: str) -> Answer:
        """A command on the lab itself."""
        answer = command("lab", *arguments, "--dir", self.lab)
        assert answer.code == 0, answer
        return answer

    def start(self, *arguments: str, log: str = "process") -> "subprocess.Popen[bytes]":
        """Start a long-running `failback` command; ended with the test."""
        with (self.folder / f"{log}.log").open("ab") as output:
            process = subprocess.Popen([FAILBACK, *arguments], stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """Start a worker of the estate."""
        return self.start("--config", self.facts["config"], "worker", log="worker")

    def start_load(
        self, *, users: int, rps: int, seconds: int, objects: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Start customers whose acknowledged writes go to the journal."""
        return self.start(
            *("lab", "load", "--dir", self.lab, "--journal", str(self.journal), "--json"),
            *("--users", str(users), "--rps", str(rps), "--seconds", str(seconds)),
            "--objects" if objects else "--no-objects",
            log="load",
        )

    def stop_load(self, load: "subprocess.Popen[bytes]") -> None:
        """Let the customers end now; they say what they saw."""
        load.send_signal(signal.SIGTERM)
        assert load.wait(timeout=60) == 0

    def load_summary(self) -> dict[str, Any]:
        """What the load said of itself at its end."""
        text = (self.folder / "load.log").read_text(encoding="utf-8")
        return dict(json.loads(text[text.index("{\n") :]))

    def acknowledged(self) -> int:
        """Acknowledged writes in the journal so far."""
        if not self.journal.exists():
            return 0
        return self.journal.read_text(encoding="utf-8").count('"acknowledged"')

    def until_acknowledged(self, more: int) -> None:
        """Wait for so many more acknowledged writes."""
        wanted = self.acknowledged() + more
        until(lambda: self.acknowledged() >= wanted, f"{wanted} acknowledged writes")

    def audit(self, dsn: str = "") -> AuditReport:
        """The journal against the source or another database, with the objects of the lab."""
        objects = self.facts["system"].get("objects", {}).get("source")
        return audit(self.journal, dsn or self.facts["source"]["admin_dsn"], objects)

    @property
    def temporal(self) -> str:
        """Temporal's own command line."""
        return str(temporal_program())

    def process_id(self, part: str) -> int:
        """The process of one of the lab's parts."""
        facts = json.loads(self.lab_command("status", "--json").output)
        return int(facts["processes"][part]["pid"])

    def admin(self, side: str) -> "psycopg.Connection[Any]":
        """A superuser's connection to one side."""
        return psycopg.connect(self.facts[side]["admin_dsn"], autocommit=True)

    def status(self) -> dict[str, Any]:
        """The newest rollback's status."""
        # Asked over and over while a rollback works on the same processors.
        answer = command_here("--config", self.facts["config"], "rollback", "status", "--json")
        return dict(answer.facts)

    def until_step(self, *names: str) -> dict[str, Any]:
        """Wait until the rollback is in one of these steps or phases."""
        seen: dict[str, Any] = {}

        def reached() -> bool:
            seen.update(self.status())
            return seen.get("step") in names or seen.get("phase") in names

        until(reached, f"one of {names}")
        return seen

    def close(self) -> None:
        """End what the test started, and take the lab down."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.lab_command("down")


def kill(process: "subprocess.Popen[bytes]") -> None:
    """`kill -9`, and nothing graceful."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
