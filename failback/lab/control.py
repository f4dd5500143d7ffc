"""What the command line does with a lab from outside: start it, look at it, end it."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from failback.errors import ConfigurationError, LabError
from failback.lab.estate import LabEstate
from failback.lab.lock import holder
from failback.lab.names import NameServerKind, knot_program
from failback.lab.processes import kill_recorded, tail, wait_until
from failback.lab.spec import PORTS, LabSpec, new_secrets, read_spec, write_spec
from failback.lab.state import LabState, read_state, write_state
from failback.lab.supervisor import spec_file
from failback.models.decision import Mode

DEFAULT_DIRECTORY = Path("lab")
_UP_SECONDS = 120.0
_DOWN_SECONDS = 60.0
_KILL_SECONDS = 10.0


def up(
    folder: Path,
    *,
    name: str | None = None,
    dns: NameServerKind = "auto",
    worker: bool = False,
    detection: bool = False,
    system: bool = False,
    mode: Mode = Mode.AUTOMATIC,
) -> tuple[LabState, bool]:
    """Start the lab in a folder, a new one or the one that was there, and wait until it is up.

    Args:
        folder: made where it is missing.
        name: the estate's name, of a new lab.
        dns: which name server a new lab gets.
        worker: whether a worker belongs to it.
        detection: whether something watches the product, and a gateway takes its alerts.
        system: whether objects, functions, platform APIs and a standby belong to it.
        mode: how far failback may go by itself when an alert comes.

    Returns:
        The lab's state, and whether it was up already.

    Raises:
        LabError: it could not be started; nothing of it runs then.
        ConfigurationError: it was made with another name.
    """
    made_folder = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if made_folder:
        # The servers' own user has to pass through; what is secret has modes of its own.
        folder.chmod(0o755)
    with (folder / "up.lock").open("w") as lock:
        # Two at once agree: the second waits, and finds the lab up.
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state(folder)
        if state is not None and state.supervisor.lives:
            wait_until(lambda: _is_settled(folder), _UP_SECONDS)
            state = read_state(folder)
        if state is not None and state.is_up:
            return state, True
        if (found := holder(folder)) is not None:
            raise LabError(
                f"A supervisor (process {found.pid or 'not known'}) has the lab in {folder}, "
                "and its state does not show it as running.",
                "End it with `failback lab down`, then start it again.",
            )
        _end_remains(state)
        spec = _spec(folder, name, dns)
        chosen = {"worker": worker, "detection": detection, "system": system, "mode": mode}
        write_spec(spec_file(folder), spec.model_copy(update=chosen))
        return _started(folder), False


def state_of(folder: Path) -> LabState:
    """The state of the lab in a folder.

    Raises:
        ConfigurationError: there never was one.
    """
    state = read_state(folder)
    if state is None:
        raise ConfigurationError(
            f"There is no lab in {folder}.", "Start one with `failback lab up`, or name its --dir."
        )
    return state


def running(folder: Path) -> LabState:
    """The state of a lab that is up.

    Raises:
        ConfigurationError: there never was one.
        LabError: it is not up.
    """
    state = state_of(folder)
    if not state.is_up:
        raise LabError(f"The lab in {folder} is not up.", "Start it with `failback lab up`.")
    return state


def down(folder: Path, *, purge: bool = False) -> tuple[LabState, list[Path]]:
    """End every process of a lab, also of one whose supervisor is gone.

    Args:
        folder: the lab's folder.
        purge: whether its data go too; else the next `up` goes on with them.

    Returns:
        The state, and the folders outside of the lab's own that still hold its data.

    Raises:
        ConfigurationError: there never was a lab here.
        LabError: something of it may still run; nothing was deleted.
    """
    _end_holder(folder)
    state = state_of(folder)
    _end_remains(state)
    remains = [name for name, process in state.processes.items() if process.lives]
    if remains:
        raise LabError(
            f"The lab in {folder} is not down: {', '.join(remains)} could not be ended.",
            "End them by the process ids of `failback lab status`.",
        )
    if state.state != "stopped":
        state = state.model_copy(update={"state": "stopped", "processes": {}})
        write_state(folder, state)
    spec = read_spec(spec_file(folder))
    if spec is None:
        return state, []
    estate = LabEstate(folder, spec)
    if purge:
        estate.remove()
        return state, []
    return state, estate.outside()


def facts(state: LabState) -> dict[str, Any]:
    """Everything about a lab, with who runs; as `failback lab status --json` prints it."""
    processes = {"supervisor": state.supervisor, **state.processes}
    return {
        "state": state.state if state.supervisor.lives or not _claims_life(state) else "crashed",
        **state.facts,
        "faults": state.faults,
        "failure": state.failure,
        "processes": {
            name: {
                "pid": process.pid,
                "running": process.lives,
                "restarts": process.restarts,
                "log": process.log,
            }
            for name, process in processes.items()
        },
    }


def _claims_life(state: LabState) -> bool:
    return state.state in {"starting", "running", "stopping"}


def _spec(folder: Path, name: str | None, dns: NameServerKind) -> LabSpec:
    """The lasting choices of a new lab, or of the one that was there."""
    known = read_spec(spec_file(folder))
    if known is None:
        if dns == "auto":
            dns = "knot" if knot_program() else "builtin"
        ports = dict.fromkeys(PORTS, 0)
        return LabSpec(name=name or "lab", dns=dns, ports=ports, secrets=new_secrets())
    if name not in {None, known.name}:
        raise ConfigurationError(
            f"The lab in {folder} is named {known.name}, not {name}.",
            "Choose another --dir, or remove it with `failback lab down --purge`.",
        )
    return known.model_copy(
        update={
            "dns": known.dns if dns == "auto" else dns,
            # A lab of an earlier version has fewer of both.
            "ports": {**dict.fromkeys(PORTS, 0), **known.ports},
            "secrets": {**new_secrets(), **known.secrets},
        }
    )


def _is_settled(folder: Path) -> bool:
    """Whether the lab is up, or its supervisor gone."""
    state = read_state(folder)
    return state is None or state.is_up or not state.supervisor.lives


def _started(folder: Path) -> LabState:
    """Start a supervisor that outlives us, and wait until it has the lab up."""
    log = folder / "logs" / "supervisor.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "failback.lab.supervisor", str(folder.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _came_up(folder, supervisor, log)
    except BaseException:
        # Also when a person interrupts: half a lab is of no use to anybody.
        _end_supervisor(supervisor)
        raise


def _came_up(folder: Path, supervisor: subprocess.Popen[bytes], log: Path) -> LabState:
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline:
        ended = supervisor.poll()
        state = read_state(folder)
        if state is not None and state.is_up:
            return state
        if ended is not None:
            said = state.failure if state is not None and state.failure else tail(log)
            raise LabError(f"The lab did not start. {said}", f"Its logs are in {log.parent}.")
        time.sleep(0.05)
    raise LabError(
        f"The lab did not start within {_UP_SECONDS:.0f} s.", f"Its logs are in {log.parent}."
    )


def _end_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    if supervisor.poll() is None:
        supervisor.terminate()
        try:
            supervisor.wait(_DOWN_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()


def _end_holder(folder: Path) -> None:
    """End the supervisor that holds the lab's lock, whatever its state says of it.

    Its parts end with it: the kernel ties their lives to its own.
    """
    found = holder(folder)
    if found is None:
        return
    if found.pid is None:
        raise LabError(
            f"A supervisor holds {folder}/supervisor.lock, and its process is not known.",
            f"Find it with `fuser {folder}/supervisor.lock`, end it, and say `down` again.",
        )
    for number, seconds in ((signal.SIGTERM, _DOWN_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if wait_until(lambda: holder(folder) is None, seconds):
            return
    raise LabError(
        f"The lab in {folder} is not down: its supervisor, process {found.pid}, does not end.",
        "Look at its log, in the lab's folder under logs.",
    )


def _end_remains(state: LabState | None) -> None:
    """End what an earlier supervisor left, after a look at each process's start."""
    if state is None:
        return
    for process in (state.supervisor, *state.processes.values()):
        kill_recorded(process.pid, process.began)
