"""Measures: seconds of several runs side by side, and what the machine was doing meanwhile.

Changes when figures are gathered or summed up in another way.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Samples:
    """Seconds of several runs of one thing."""

    seconds: list[float] = field(default_factory=list)

    def time(self, work: Callable[[], object]) -> float:
        """Run the work once, and keep how long it took."""
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        self.seconds.append(took)
        return took

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The quickest: the one that the machine disturbed least."""
        return min(self.seconds)

    def quantile(self, part: float) -> float:
        """The smallest value that at least this part of the runs does not exceed."""
        ordered = sorted(self.seconds)
        return ordered[max(0, -(-round(part * 1000) * len(ordered) // 1000) - 1)]

    def text(self) -> str:
        """`2.31 s (2.20–2.52, 3 runs)`."""
        if len(self.seconds) == 1:
            return f"{seconds(self.median)} (1 run)"
        return (
            f"{seconds(self.median)} ({seconds(self.least)}–{seconds(max(self.seconds))}, "
            f"{len(self.seconds)} runs)"
        )


def ratio(reference: Samples, ours: Samples) -> float:
    """How many times the reference's time is ours: the median over paired runs.

    Run number i of both was made right after one another, so that what else the machine did
    weighs on both alike. Where the counts differ the medians are compared.
    """
    if len(reference.seconds) != len(ours.seconds):
        return reference.median / ours.median
    pairs = zip(reference.seconds, ours.seconds, strict=True)
    return statistics.median(theirs / own for theirs, own in pairs)


def alternate(rounds: int, works: Sequence[tuple[Samples, Callable[[], object]]]) -> None:
    """Run the works by turns, forwards and backwards, so that none is always the first."""
    for turn in range(rounds):
        for samples, work in works if turn % 2 == 0 else reversed(works):
            samples.time(work)


def seconds(value: float) -> str:
    """Seconds or milliseconds with three digits that say something."""
    if value < 1.0:
        return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def grouped(number: int) -> str:
    """`200 000`."""
    return f"{number:,}".replace(",", " ")


def load_average() -> str:
    """The machine's load over the last 1, 5 and 15 minutes, as the kernel tells it."""
    try:
        return " ".join(Path("/proc/loadavg").read_text(encoding="ascii").split()[:3])
    except OSError:
        return "unknown"


def machine() -> str:
    """Processor, cores, memory and kernel in one line."""
    model, memory = platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        kilobytes = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1])
        memory = f", {kilobytes / 2**20:.0f} GiB memory"
    except (OSError, ValueError, IndexError):
        pass
    return f"{model}, {_cores()} cores{memory}, {platform.system()} {platform.release()}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
