"""Scores the detector on labelled series and prints the table.

python -m bench.detection [--data FOLDER] [--cross-validate]
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.detection.choosing import cross_validated
from bench.detection.scoring import Result, scored, total
from bench.detection.series import WINDOWS, Series, read_all
from failback.decision.anomaly import Detector

DATA_VARIABLE = "FAILBACK_NAB"
DATA = "../shared/nab"
OTHERS = {
    "windowed Gaussian": 35.7,
    "skyline": 54.2,
    "relative entropy": 56.0,
    "seasonal quantile with CUSUM": 58.1,
    "kNN-CAD": 61.7,
    "contextual, causal range": 63.5,
}
"""NAB scores of published methods on its 36 series given here; not measured by this program."""


@dataclass(frozen=True)
class Watched:
    """What the detector made of one series: its alarms, and each row's ratio."""

    alarms: list[int]
    ratios: list[float]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 also where there are no series, with the reason."""
    asked = _parser().parse_args(arguments)
    folder = Path(asked.data)
    if not (folder / WINDOWS).is_file():
        print(f"skipped: {folder / WINDOWS} does not exist; name a folder in NAB's layout (--data)")
        return 0
    began = time.monotonic()
    series = read_all(folder)
    with ProcessPoolExecutor() as pool:
        watched = dict(zip((one.name for one in series), pool.map(watch, series), strict=True))
    results = {
        one.name: scored(len(one.values), one.windows, watched[one.name].alarms) for one in series
    }
    print(table(results))
    if asked.cross_validate:
        print(f"\n{_validated(series, watched)}")
    rows = sum(len(one.values) for one in series)
    print(f"\n{rows:,} values in {time.monotonic() - began:.0f} s")
    return 0


def watch(series: Series) -> Watched:
    """Hand a series to a detector, value by value."""
    detector = Detector()
    scores = [detector.update(*row) for row in zip(series.times, series.values, strict=True)]
    return Watched(
        alarms=[row for row, score in enumerate(scores) if score.flag],
        ratios=[score.ratio for score in scores],
    )


def table(results: dict[str, Result]) -> str:
    """By series and in total, with the published detectors beside it."""
    wide = max(len(name) for name in results)
    lines = [f"{'series':<{wide}}  windows  detected  false alarms  of normal  NAB points  score"]
    lines += [_line(name, result, wide) for name, result in results.items()]
    whole = total(results.values())
    lines += ["", _line("all", whole, wide), ""]
    lines.append(
        f"NAB standard profile {_figure(whole.score)}; detection accuracy {whole.detected} of "
        f"{whole.windows} windows; {whole.false_positive_rate:.3%} of "
        f"{whole.normal:,} normal values flagged"
    )
    lines.append("For comparison, as measured elsewhere on the 36 series (not by this run):")
    lines += [f"  {name:<30} {score:.1f}" for name, score in OTHERS.items()]
    return "\n".join(lines)


def _line(name: str, result: Result, wide: int) -> str:
    return (
        f"{name:<{wide}}  {result.windows:7}  {result.detected:8}  {result.false_alarms:12}  "
        f"{result.false_positive_rate:9.3%}  {result.points:10.2f}  {_figure(result.score):>5}"
    )


def _validated(series: Sequence[Series], watched: dict[str, Watched]) -> str:
    result, chosen = cross_validated(series, {name: one.ratios for name, one in watched.items()})
    told = (
        f"Threshold and rest chosen without the group that they are scored on: "
        f"{_figure(result.score)}, {result.false_positive_rate:.3%} of normal values flagged"
    )
    lines = [told]
    lines += [
        f"  without {group:<24} threshold × {ratio:.2f}, rest {rest} rows"
        for group, (ratio, rest) in chosen.items()
    ]
    return "\n".join(lines)


def _figure(score: float | None) -> str:
    return "–" if score is None else f"{score:.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--data", default=os.environ.get(DATA_VARIABLE, DATA))
    parser.add_argument("--cross-validate", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
