"""Processes of the lab: free ports, servers that die with their starter, signals by identity."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from failback.lab.accounts import Account

_LAUNCHER = Path(__file__).with_name("launch.py")
PORTS_VARIABLE = "FAILBACK_LAB_PORTS"
"""`FIRST-LAST`: which ports servers are given; programs with ranges of their own never meet."""
# Below the range that Linux takes local ports of outgoing connections from: a server that is
# restarted finds its port free.
_PORTS = range(15_000, 32_000)
_START_FIELD = 19
"""Where `starttime` is among the fields after the name."""


def free_port(*, datagram: bool = False) -> int:
    """A port on loopback that nobody listens on now, for TCP, and for UDP too if asked.

    Raises:
        OSError: no port was found in a thousand tries.
    """
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if datagram else (socket.SOCK_STREAM,)
    for _ in range(1000):
        port = random.choice(_ports())
        if all(port_is_free(port, kind) for kind in kinds):
            return port
    raise OSError("no free port found on 127.0.0.1")


def port_is_free(port: int, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ports() -> range:
    first, _, last = os.environ.get(PORTS_VARIABLE, "").partition("-")
    return range(int(first), int(last) + 1) if first and last else _PORTS


class PortReservations:
    """Keeps ports from other labs until the servers that they are for listen on them.

    A reserved port is bound without listening. Servers set SO_REUSEADDR and bind it all the
    same; whoever looks for a free port finds it taken.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, wanted: int | None = None) -> int:
        """Reserve the wanted port if nobody listens there, else a free one."""
        if wanted is not None and self._taken(wanted, again=True):
            return wanted
        for _ in range(1000):
            port = random.choice(_ports())
            if port_is_free(port, socket.SOCK_DGRAM) and self._taken(port, again=False):
                return port
        raise OSError("no free port found on 127.0.0.1")

    def release(self) -> None:
        """Give all ports back."""
        while self._sockets:
            self._sockets.pop().close()

    def _taken(self, port: int, *, again: bool) -> bool:
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if again:
                # Connections of an earlier run may linger on a port that was ours.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        except OSError:
            holder.close()
            return False
        self._sockets.append(holder)
        return True


def answers(port: int, timeout_seconds: float = 0.5) -> bool:
    """Whether somebody accepts TCP connections on this port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout_seconds):
        return True
    return False


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.02) -> bool:
    """Ask until the answer is yes or the time is over; tells which."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own; its output is appended to a log.

    Args:
        command: an absolute path and its arguments.
        log: the file that gets standard output and error; opened by us, so that it may be
            where the server's user could not write.
        account: the user to change to, where it `drops`.
        environment: the whole environment; ours where it is not given.
        directory: the working directory.
        death_signal: what the kernel sends when the *thread* that called this ends.
    """
    drops = account is not None and account.drops
    uid, gid = (account.uid, account.gid) if account is not None and drops else (-1, -1)
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_LAUNCHER)),
                *(str(os.getpid()), str(uid), str(gid), str(int(death_signal))),
                *(str(part) for part in command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=directory,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], *signals: tuple[signal.Signals, float]) -> None:
    """Send signals in turn, each with the seconds it is given, then SIGKILL; reap the process."""
    for number, seconds in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if process.poll() is None:
        process.kill()
    process.wait()


def started_at(pid: int) -> float | None:
    """When a process began, in seconds since the machine booted; None when there is none.

    Not the time of day: that one would move when the clock is set. See proc_pid_stat(5).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold spaces; state is the first field after it.
    fields = text.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    return int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")


def is_same_process(pid: int, began: float) -> bool:
    """Whether this number still belongs to the process that began then."""
    return started_at(pid) == began


def kill_recorded(pid: int, began: float, seconds: float = 10.0) -> bool:
    """End a process that somebody else recorded, with its children; tells whether it was there.

    The start time is compared first, so that a number that the system has given to another
    process is left alone.
    """
    if not is_same_process(pid, began):
        return False
    family = [psutil.Process(pid)]
    with suppress(psutil.Error):
        family += family[0].children(recursive=True)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for member in family:
            with suppress(psutil.Error):
                member.send_signal(number)
        _, family = psutil.wait_procs(family, timeout=seconds)
        if not family:
            break
    return True


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, or a word that there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
