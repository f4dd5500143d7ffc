"""How a run is asked for."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Options of one run of the benchmarks."""

    scale: float = 1.0
    """1 is a million rows and 200 000 changed keys."""
    rounds: int = 3
    """Runs of what is measured by turns."""
    repetitions: int = 20
    """Fences raised and drained."""
    labs: int = 5
    """Rollbacks of the whole lab, for each level."""
    alerts: int = 20
    """Rollbacks that an alert leads to, of one lab."""

    def say(self, text: str) -> None:
        """Tell the person who waits what is going on."""
        print(text, file=sys.stderr, flush=True)
