"""A process that carries shares, or drains, as a worker's activity does.

Run as `python -m bench.scaling.worker` with ESTATE, SOURCE and TARGET set. It says `ready`, and
waits for a line: `drain`, or the catch-up and the numbers of the shares. At its end it says the
most memory that it had, in MiB.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from failback.models.catch_up import ShareOutcome
from failback.models.common import Outcome
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings

_DEADLINE_SECONDS = 3600.0


def main() -> None:
    """Do what the line says, and tell the peak of memory."""
    settings = SyncSettings(
        os.environ["ESTATE"],
        os.environ["SOURCE"],
        os.environ["TARGET"],
        parallel=int(os.environ.get("PARALLEL", "4")),
    )
    engine, catch_up = ReverseSync(settings), CatchUp(settings)
    engine.warm()
    print("ready", flush=True)
    word, *shares = sys.stdin.readline().split()
    if word == "drain":
        if engine.drain(_DEADLINE_SECONDS).outcome is not Outcome.SUCCEEDED:
            raise RuntimeError("the drain did not end")
    else:
        with ThreadPoolExecutor(settings.parallel) as pool:
            for report in pool.map(
                lambda share: catch_up.carry_share(word, share), map(int, shares)
            ):
                if report.outcome is not ShareOutcome.CARRIED:
                    raise RuntimeError(report.detail)
    catch_up.close()
    engine.close()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    print(round(int(peak) / 1024), flush=True)


if __name__ == "__main__":
    main()
