"""`python -m failback.lab.supervisor DIR`: starts the lab's parts and keeps them running.

It does everything in its main thread, because the kernel ties the parts' lives to the thread
that launched them: when the supervisor ends, however it ends, they end too.
"""

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from failback.errors import FailbackError, LabError
from failback.lab.breaking import Fault, Faults, inflict
from failback.lab.channel import CommandServer
from failback.lab.damage import damage
from failback.lab.estate import LabEstate
from failback.lab.lock import AlreadySupervisedError, held
from failback.lab.parts import Part
from failback.lab.processes import PortReservations, started_at, wait_until
from failback.lab.programs import ProductServer
from failback.lab.spec import LabSpec, read_spec, write_spec
from failback.lab.state import LabState, ProcessFacts, StateName, write_state
from failback.models.common import Side

ALREADY_SUPERVISED = 75
"""The exit code when another supervisor has this lab (EX_TEMPFAIL)."""

_LOG = logging.getLogger("failback.lab.supervisor")
_LOOK_SECONDS = 0.1
_KEEP_SECONDS = 0.25
_START_TRIES = 3
_LONG_LIFE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 5.0
_SERVES_SECONDS = 5.0
_PORT_TAKEN = ("in use", "cannot bind", "could not bind")


class _StopAskedError(BaseException):
    """SIGTERM came while the parts were being started."""


@dataclass
class _Life:
    """How a part has been dying lately."""

    failures: int = 0
    not_before: float = 0.0
    awaits_faults: bool = False


class Supervisor:
    """Starts one lab, restarts what dies, obeys commands, and takes all of it down again.

    Args:
        folder: the lab's folder, with its spec.
        spec: the lab's name, ports and secrets.
    """

    def __init__(self, folder: Path, spec: LabSpec) -> None:
        self._folder = folder
        self._spec = spec
        self._ports = PortReservations()
        self._estate = LabEstate(folder, spec)
        self._faults = Faults()
        self._lives: dict[str, _Life] = {}
        self._stop_asked = False
        self._kept_at = 0.0
        self._state = LabState(state="starting", supervisor=_ourselves(folder))

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; the exit code tells whether the lab came up."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        outcome: StateName = "failed"
        commands: CommandServer | None = None
        try:
            self._write("starting")
            self._start()
            commands = CommandServer(self._folder)
            self._write("running")
            while not self._stop_asked:
                commands.serve(_LOOK_SECONDS, self._obey)
                self._look_after()
            outcome = "stopped"
        except _StopAskedError:
            outcome = "stopped"
        except (FailbackError, OSError) as error:
            _LOG.exception("the lab did not start")
            self._state.failure = str(error)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if commands is not None:
                commands.close()
            self._take_down(outcome)
        return 0 if outcome == "stopped" else 1

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True
        if self._state.state == "starting":
            raise _StopAskedError

    def _start(self) -> None:
        """Start everything; with other ports when somebody was faster."""
        for attempt in range(1, _START_TRIES + 1):
            wanted = self._spec.ports
            ports = {name: self._ports.take(port or None) for name, port in wanted.items()}
            self._spec = self._spec.model_copy(update={"ports": ports})
            write_spec(spec_file(self._folder), self._spec)
            self._estate = LabEstate(self._folder, self._spec)
            try:
                for _ in self._estate.start():
                    self._write("starting")
            except LabError as error:
                self._estate.stop()
                self._ports.release()
                if attempt == _START_TRIES or not _is_about_ports(error):
                    raise
                _LOG.warning("a port was taken meanwhile: %s", error)
            else:
                break
        self._state.facts = self._estate.facts()

    def _look_after(self) -> None:
        """Restart what died and is not meant to be down; keep the balancer's weights."""
        down = self._faults.down()
        for part in self._estate.parts():
            if part.name in down:
                continue
            life = self._lives.setdefault(part.name, _Life())
            if not part.is_running():
                self._restart(part, life)
            elif life.awaits_faults and isinstance(part, ProductServer) and part.is_ready():
                life.awaits_faults = False
                for fault in self._faults.of_product(part.side):
                    self._inflict(fault, on=True)
        now = time.monotonic()
        if now - self._kept_at >= _KEEP_SECONDS and self._estate.balancer.is_running():
            self._kept_at = now
            self._estate.balancer.keep_state()

    def _restart(self, part: Part, life: _Life) -> None:
        now = time.monotonic()
        if now < life.not_before:
            return
        lived_long = now - part.launched > _LONG_LIFE_SECONDS
        life.failures = 0 if lived_long else life.failures + 1
        # The first restart is at once; one that keeps dying gets more and more time.
        pause = min(0.1 * 2**life.failures, _LONGEST_PAUSE_SECONDS)
        life.not_before = now + pause
        _LOG.warning("%s died; starting it again (next not before %.1f s)", part.name, pause)
        try:
            part.launch()
        except (FailbackError, OSError):
            _LOG.exception("%s did not start", part.name)
            return
        part.restarts += 1
        life.awaits_faults = isinstance(part, ProductServer)
        self._write("running")

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["command"]:
            case "break":
                self._break(
                    Fault(
                        command["fault"],
                        Side(command.get("side") or Side.TARGET),
                        command.get("share"),
                        command.get("seconds"),
                    )
                )
            case "heal":
                self._heal(command.get("fault"))
            case other:
                raise LabError(f"The supervisor knows no command {other!r}.")
        self._write("running")
        return {"faults": self._state.faults}

    def _break(self, fault: Fault) -> None:
        if fault.is_carried_out:
            self._inflict(fault, on=True)
        if fault.lasts:
            damage(fault.name, self._estate)
        self._faults.add(fault)
        for name in fault.parts:
            self._estate.part(name).stop(immediate=True)

    def _heal(self, name: str | None) -> None:
        healed = self._faults.healable(name)
        gone = [fault for each in healed for fault in self._faults.remove(each)]
        down = self._faults.down()
        parts = [self._estate.part(part) for fault in gone for part in fault.parts]
        # Databases come before the products that use them.
        for part in sorted(parts, key=lambda part: isinstance(part, ProductServer)):
            if part.name not in down:
                part.start()
                self._lives.setdefault(part.name, _Life()).awaits_faults = True
        if parts and not down:
            wait_until(self._estate.balancer.serves, _SERVES_SECONDS)
        for fault in gone:
            product = self._estate.products[fault.side]
            if fault.is_carried_out and (fault.is_of_functions or product.is_running()):
                self._inflict(fault, on=False)

    def _inflict(self, fault: Fault, *, on: bool) -> None:
        if fault.is_of_functions:
            runtime = self._estate.runtime(fault.side)
            # It may have died a moment ago, and remembers its faults.
            runtime.start()
            runtime.inflict(fault.name, on=on)
            return
        inflict(self._estate.products[fault.side].url, fault, on=on)

    def _take_down(self, outcome: StateName) -> None:
        if self._state.state != "failed":
            self._write("stopping")
        self._estate.stop()
        self._ports.release()
        self._write(outcome)

    def _write(self, state: StateName) -> None:
        self._state.state = state
        self._state.faults = [fault.name for fault in self._faults.active]
        self._state.processes = {
            part.name: ProcessFacts(
                pid=pid, began=part.began, restarts=part.restarts, log=str(part.log)
            )
            for part in self._estate.parts()
            if (pid := part.pid) is not None
        }
        write_state(self._folder, self._state)


def spec_file(folder: Path) -> Path:
    """Where a lab's lasting choices are written."""
    return folder / "spec.json"


def _ourselves(folder: Path) -> ProcessFacts:
    began = started_at(os.getpid()) or 0.0
    return ProcessFacts(pid=os.getpid(), began=began, log=str(folder / "logs" / "supervisor.log"))


def _is_about_ports(error: LabError) -> bool:
    return any(sign in error.cause.lower() for sign in _PORT_TAKEN)


def main() -> int:
    """Supervise the lab in the folder that the only argument names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    folder = Path(sys.argv[1]).absolute()
    try:
        with held(folder, os.getpid()):
            spec = read_spec(spec_file(folder))
            if spec is None:
                sys.stderr.write(
                    f"There is no lab in {folder}: start one with `failback lab up`.\n"
                )
                return 1
            return Supervisor(folder, spec).run()
    except AlreadySupervisedError:
        return ALREADY_SUPERVISED


if __name__ == "__main__":
    sys.exit(main())
