"""What every server of the lab is to its supervisor: launch, ready, restart, stop."""

import abc
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from failback.errors import LabError
from failback.lab.accounts import Account
from failback.lab.processes import end, spawn, started_at, tail, wait_until


class Part(abc.ABC):
    """One server process with its log.

    Args:
        name: what status, faults and errors call it.
        log: the file that its output is appended to.
        account: the user that it changes to; None keeps ours.
    """

    ready_seconds = 20.0
    """How long `start` waits for it."""
    death_signal = signal.SIGKILL
    """What the kernel sends it when its supervisor dies."""
    stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 10.0),)
    """What `stop` sends, each with the seconds it is given; SIGKILL comes last."""

    def __init__(self, name: str, log: Path, account: Account | None = None) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        self.launched = 0.0
        self.began = 0.0
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The absolute path of the program, and its arguments."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers as its clients need it."""

    def prepare(self) -> None:
        """Write what the program reads at its start. Called before every launch."""
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        """The program's whole environment: small, so that nothing of ours configures it."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def directory(self) -> Path | None:
        """The program's working directory; None keeps ours."""
        return None

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    def is_running(self) -> bool:
        """Whether the process that we launched lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process without waiting until it answers. Does nothing while it runs."""
        if self.is_running():
            return
        self.prepare()
        self._process = spawn(
            self.command(),
            log=self.log,
            account=self._account,
            environment=self.environment(),
            directory=self.directory(),
            death_signal=self.death_signal,
        )
        self.launched = time.monotonic()
        self.began = started_at(self._process.pid) or 0.0

    def wait_ready(self) -> None:
        """Wait until the launched process answers.

        Raises:
            LabError: it ended or did not answer in time; the text ends with its log.
        """
        wait_until(lambda: not self.is_running() or self.is_ready(), self.ready_seconds)
        if not self.is_running():
            raise LabError(f"{self.name} ended while it started. Its log ends:\n{tail(self.log)}")
        if not self.is_ready():
            raise LabError(
                f"{self.name} did not answer within {self.ready_seconds:.0f} s."
                f" Its log ends:\n{tail(self.log)}"
            )

    def start(self) -> None:
        """Launch the process and wait until it answers; see `wait_ready`."""
        self.launch()
        self.wait_ready()

    def stop(self, immediate: bool = False) -> None:
        """End the process; `immediate` gives it no time to tidy up."""
        if self._process is None:
            return
        end(self._process, *(() if immediate else self.stop_signals))
        self._process = None
