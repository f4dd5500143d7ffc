"""Runs the benchmarks, prints their table, and writes the page that keeps it.

    python -m bench [--scale 0.1] [--only NAME] [--page FILE]

The page is written by a run of everything at scale 1, or where `--page` asks for it.
"""

import argparse
import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import alerts, drain, fence, orchestration, rollbacks, verify, write_cost
from bench.support.measure import load_average
from bench.support.options import Options
from bench.support.page import Run, page
from bench.support.table import Row, console, failed

BENCHMARKS: Mapping[str, Callable[[Options], list[Row]]] = {
    "drain": drain.run,
    "fence": fence.run,
    "verify": verify.run,
    "write_cost": write_cost.run,
    "rollbacks": rollbacks.run,
    "alerts": alerts.run,
    "orchestration": orchestration.run,
}
PAGE = Path("docs/benchmarks.md")


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 where a benchmark broke, 0 also where one was not reached."""
    asked = _parser().parse_args(arguments)
    options = Options(
        scale=asked.scale,
        rounds=asked.rounds,
        repetitions=asked.fences,
        labs=asked.labs,
        alerts=asked.alerts,
    )
    # A reference's pipeline that a unique violation ends is counted, not reported.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    began, before = time.monotonic(), load_average()
    rows: list[Row] = []
    loads, broken = {}, list[str]()
    for name in asked.only or BENCHMARKS:
        try:
            rows += BENCHMARKS[name](options)
        except Exception as error:  # what was measured before is not thrown away
            logging.getLogger("bench").exception("%s failed", name)
            broken.append(name)
            rows.append(failed(name, error))
        loads[name] = load_average()
    print(console(rows))
    everything = asked.only is None and asked.scale == 1.0
    target = asked.page or (PAGE if everything else None)
    if target is not None:
        words = sys.argv[1:] if arguments is None else arguments
        run = Run(
            command=shlex.join(["python", "-m", "bench", *words]),
            seconds=time.monotonic() - began,
            load_before=before,
            loads=loads,
            revision=_revision(),
        )
        target.write_text(page(rows, run), encoding="utf-8")
        print(f"written to {target}", file=sys.stderr)
    return 1 if broken else 0


def _revision() -> str:
    """The commit that is checked out; empty outside of a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run the benchmarks.")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is a million rows")
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), help="may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="runs of what takes turns")
    parser.add_argument("--fences", type=int, default=20, help="fences raised and drained")
    parser.add_argument("--labs", type=int, default=5, help="rollbacks of the lab, each level")
    parser.add_argument("--alerts", type=int, default=20, help="rollbacks that alerts lead to")
    parser.add_argument("--page", type=Path, help="write the page here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
