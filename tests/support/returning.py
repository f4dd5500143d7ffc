"""The way back to the target after a rollback, as docs/reprotect.md has it, for another try."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from failback.config import load
from failback.models.common import Side
from failback.providers.configuration.opening import open_configuration
from failback.providers.functions.opening import open_functions

from .lab_run import LabRun

BACKENDS = ("rest", "auth", "storage", "functions", "database")


def return_to_the_target(lab: LabRun, quiet: Callable[[], None] = lambda: None) -> None:
    """Carry the source's changes over, and make the target live again.

    Args:
        lab: whose source is live.
        quiet: waits until the traffic may go back; called once the stream is turned round.
    """
    lab.run("reprotect")
    quiet()
    lab.run("fence", "raise", "source")
    lab.run("sync", "run")
    lab.run("fence", "lift", "target")
    asyncio.run(system_back(Path(lab.facts["config"])))
    shift_weights(lab, Side.TARGET)
    lab.run("arm")


def shift_weights(lab: LabRun, live: Side) -> None:
    """Give all traffic to one side, by the balancer's own interface."""
    with socket.socket(socket.AF_UNIX) as balancer:
        balancer.connect(lab.facts["balancer"]["runtime_api"].removeprefix("unix://"))
        commands = [
            f"set server {backend}/{side.value} weight {100 if side is live else 0}"
            for backend in BACKENDS
            for side in Side
        ]
        balancer.sendall(f"{';'.join(commands)}\n".encode())
        while balancer.recv(4096):
            pass


async def system_back(config: Path) -> None:
    """Functions run on the target again, and every key has its value."""
    estate = load(config)
    functions, configuration = open_functions(estate), open_configuration(estate)
    if functions is not None:
        for name in await functions.names():
            await functions.put_back(name)
        await functions.aclose()
    if configuration is not None:
        await configuration.switch(Side.TARGET)
        await configuration.aclose()
