"""An activity that is paused and resumed by programs."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from failback.models.common import Outcome
from failback.providers.pauses.activity import Remembered, Seen, Told
from failback.sections.pauses import PauseCommandConfig

_RUNS = 1
"""What a status program exits with while the activity is not paused."""


class CommandActivity:
    """Implements `Activity` by programs that are started without a shell.

    A program sees `PATH`, `LC_ALL`, the variables that the configuration passes on, and
    `FAILBACK_ESTATE`, `FAILBACK_ACTIVITY`, `FAILBACK_ACTION`, `FAILBACK_ROLLBACK_ID` and
    `FAILBACK_REASON`. What it prints goes nowhere: it may hold secrets. At its deadline, and when
    the call is cancelled, it is killed with all that it has started.

    Args:
        estate: the estate's name.
        name: the activity's.
        config: the programs.
    """

    def __init__(self, estate: str, name: str, config: PauseCommandConfig) -> None:
        self._estate = estate
        self._name = name
        self._config = config

    async def look(self) -> Remembered:
        """See `Activity.look`. Only the program knows what it stops."""
        return {}

    async def stop(self, told: Told, _remembered: Remembered) -> Seen:
        """See `Activity.stop`."""
        return await self._done("pause", self._config.pause, told)

    async def start(self, told: Told, _remembered: Remembered) -> Seen:
        """See `Activity.start`."""
        return await self._done("resume", self._config.resume, told)

    async def running(self, _remembered: Remembered) -> Seen | None:
        """See `Activity.running`."""
        if not self._config.status:
            return None
        code = await self._run("status", self._config.status, None)
        if code == 0:
            return None
        if code == _RUNS:
            return Seen(Outcome.FAILED, "its status program says that it runs")
        return Seen(Outcome.INCONCLUSIVE, f"its state is not known: {_said(code)}")

    async def aclose(self) -> None:
        """See `Activity.aclose`."""

    async def _done(self, action: str, program: Sequence[str], told: Told) -> Seen:
        code = await self._run(action, program, told)
        if code != 0:
            return Seen(Outcome.FAILED, f"its program to {action} it: {_said(code)}", changed=False)
        if not self._config.status:
            return Seen(Outcome.SUCCEEDED, "its program exited 0")
        code = await self._run("status", self._config.status, told)
        if code not in {0, _RUNS}:
            return Seen(Outcome.INCONCLUSIVE, f"its state is not known: {_said(code)}")
        if (code == 0) is not (action == "pause"):
            state = "paused" if code == 0 else "running"
            return Seen(Outcome.FAILED, f"its status program says that it is {state}")
        return Seen(Outcome.SUCCEEDED, "its status program says so")

    async def _run(self, action: str, program: Sequence[str], told: Told | None) -> int | str:
        """A program's exit code, or why it has none."""
        try:
            process = await asyncio.create_subprocess_exec(
                *program,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=self._config.directory or "/",
                env=self._environment(action, told),
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                return await process.wait()
        except TimeoutError:
            return f"did not end within {self._config.timeout_seconds:g} s"
        finally:
            # One that has ended may have left a service running, as it was meant to.
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _environment(self, action: str, told: Told | None) -> Mapping[str, str]:
        passed = {name: os.environ[name] for name in self._config.environment if name in os.environ}
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            **passed,
            "FAILBACK_ESTATE": self._estate,
            "FAILBACK_ACTIVITY": self._name,
            "FAILBACK_ACTION": action,
            "FAILBACK_ROLLBACK_ID": told.rollback_id if told else "",
            "FAILBACK_REASON": told.reason.replace("\0", "") if told else "",
        }


def _said(code: int | str) -> str:
    return code if isinstance(code, str) else f"exit code {code}"
