"""How fast the source was while it was known to be good: one file of the estate."""

import math
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from failback.errors import PerformanceBaselineError
from failback.models.common import Payload

_FORM = 1
RECORD = "failback validate --record-baseline"


class Measurement(Payload):
    """The times of one path or statement."""

    name: str
    what: str
    """SHA-256 of the path or of the SQL: a changed one has no baseline."""
    count: int
    p50_ms: float
    p95_ms: float


class Baseline(Payload):
    """What was measured, and when."""

    form: int = _FORM
    estate: str
    recorded_at: datetime
    measurements: tuple[Measurement, ...]

    def of(self, measured: Measurement) -> Measurement | None:
        """What the same path or statement took then."""
        return next(
            (
                one
                for one in self.measurements
                if (one.name, one.what) == (measured.name, measured.what)
            ),
            None,
        )


def percentile(times: Sequence[float], share: float) -> float:
    """The smallest time that at least this share of all does not exceed (nearest rank)."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class BaselineFile:
    """Keeps a baseline. Blocking.

    Args:
        path: the file; it and its folder are made when first needed.
        estate: whose.
    """

    def __init__(self, path: Path, estate: str) -> None:
        self._path = path
        self._estate = estate

    def read(self) -> Baseline | None:
        """The baseline; None where none was recorded.

        Raises:
            PerformanceBaselineError: the file is none of this estate, or cannot be read.
        """
        again = f"Record it again: {RECORD}."
        try:
            found = Baseline.model_validate_json(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PerformanceBaselineError(
                f"{self._path} cannot be read: {error.strerror}.", "Let failback's user read it."
            ) from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise PerformanceBaselineError(f"{self._path} is no baseline.", again) from error
        if found.form != _FORM or found.estate != self._estate:
            raise PerformanceBaselineError(
                f"{self._path} is a baseline of the estate {found.estate}, form {found.form}.",
                again,
            )
        return found

    def write(self, measurements: Sequence[Measurement], now: datetime) -> None:
        """Keep these in place of what was kept before, in one step.

        Raises:
            PerformanceBaselineError: the file cannot be written.
        """
        baseline = Baseline(estate=self._estate, recorded_at=now, measurements=tuple(measurements))
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(baseline.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise PerformanceBaselineError(
                f"{self._path} cannot be written: {error.strerror}.",
                "Name a file that failback's user may write to in validation.baseline.",
            ) from error

    @property
    def path(self) -> Path:
        """The file."""
        return self._path
