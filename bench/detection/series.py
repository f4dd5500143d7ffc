"""The labelled series of a folder in NAB's layout."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.detection.scoring import Window

WINDOWS = "windows.json"


@dataclass(frozen=True)
class Series:
    """One metric with its labelled anomalies.

    Args:
        name: folder and file, such as `realTraffic/speed_6005.csv`.
        times: Unix seconds.
        values: as many.
        windows: rows of the labelled anomalies.
    """

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    windows: tuple[Window, ...]

    @property
    def group(self) -> str:
        """Its folder: series of one origin."""
        return self.name.partition("/")[0]


def read_all(folder: Path) -> list[Series]:
    """Every series that `windows.json` names, in the order of their names.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not what it should be, or a window is of no row.
    """
    labels = json.loads((folder / WINDOWS).read_text(encoding="utf-8"))
    return [_read(folder, name, labels[name]) for name in sorted(labels)]


def _read(folder: Path, name: str, labels: list[list[str]]) -> Series:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        rows = [(_moment(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    times = [time for time, _ in rows]
    return Series(
        name=name,
        times=tuple(times),
        values=tuple(value for _, value in rows),
        windows=tuple(
            (times.index(_moment(first)), times.index(_moment(last)))
            for first, last in sorted(labels)
        ),
    )


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
