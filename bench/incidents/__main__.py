"""Replays every incident through a real Prometheus, and prints how good the decisions are.

python -m bench.incidents
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.incidents.replay import (
    Decided,
    Score,
    by_last_known,
    by_newest_alone,
    by_shape,
    decide,
    score,
)
from bench.incidents.simulation import incidents, openmetrics
from bench.support.prometheus import MISSING, PROMETHEUS, PROMTOOL, Prometheus, backfill

ACCURACY = 0.95
FALSE_POSITIVES = 0.02


async def _replayed(url: str) -> list[Decided]:
    return [
        one for incident in incidents() for one in await decide(incident, incident.looked_at(), url)
    ]


def replayed() -> list[Decided]:
    """Every decision of the table, taken on a Prometheus of its own."""
    with tempfile.TemporaryDirectory(prefix="failback-incidents-") as folder:
        server = Prometheus(Path(folder))
        backfill(openmetrics(incidents()), server.data)
        with server.running():
            return asyncio.run(_replayed(server.url))


def table(decided: Sequence[Decided]) -> list[str]:
    """Lines for people: each shape, all of them, and two simpler ways on the same evidence."""
    head = f"{'incidents':<34}{'number':>7}{'decisions':>11}{'accuracy':>10}{'too grave':>11}"
    lines = [head, *(_line(shape, found) for shape, found in by_shape(decided).items())]
    lines.append(_line("all", score(decided)))
    lines.append(_line("  by the newest sample alone", score(by_newest_alone(decided))))
    lines.append(_line("  by the last known value in gaps", score(by_last_known(decided))))
    lines.append(f"reach: accuracy at least {ACCURACY}, too grave at most {FALSE_POSITIVES}")
    lines += [f"wrong: {one}" for one in decided if not one.right]
    return lines


def _line(name: str, found: Score) -> str:
    return (
        f"{name:<34}{found.incidents:>7}{found.decisions:>11}"
        f"{found.accuracy:>10.3f}{found.false_positives:>11.3f}"
    )


def main() -> int:
    """Print the table; 1 where it is not reached, 0 also where Prometheus is missing."""
    if PROMETHEUS is None or PROMTOOL is None:
        print(f"skipped: {MISSING}")
        return 0
    decided = replayed()
    print("\n".join(table(decided)))
    found = score(decided)
    return int(found.accuracy < ACCURACY or found.false_positives > FALSE_POSITIVES)


if __name__ == "__main__":
    raise SystemExit(main())
