"""Turns an incident into the raw samples that a Prometheus would have scraped."""

import random
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple, Self

import yaml
from pydantic import Field

from failback.models.common import Payload
from failback.models.decision import DecisionKind

BEGAN = 1_772_438_400
"""Unix seconds at which every incident's calm begins: 2 March 2026, 08:00 UTC."""
CALM: Mapping[str, float] = {
    "rps": 20.0,
    "auth_rps": 2.0,
    "errors": 0.0,
    "slow": 0.0,
    "slow_ms": 80.0,
    "auth_failures": 0.0,
    "down": 0.0,
    "used": 0.5,
}
_FAST_SECONDS = 0.08
_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_INSTANCES = ("a", "b")
_COMPONENTS = 4
_NOISE = 0.1
_WORDS = {
    "immediate": DecisionKind.IMMEDIATE_ROLLBACK,
    "approval": DecisionKind.ROLLBACK_WITH_APPROVAL,
    "investigate": DecisionKind.PAUSE_AND_INVESTIGATE,
    "continue": DecisionKind.CONTINUE_MIGRATION,
}


class Look(NamedTuple):
    """A moment of an incident, and what is right then."""

    seconds: int
    """After the onset."""
    decision: DecisionKind
    conclusive: bool | None
    """Whether it must be said that everything is known; None where either may be said."""

    @classmethod
    def read(cls, seconds: int, word: str) -> Self:
        """From the words of the table."""
        decision = _WORDS[word.rstrip("?*")]
        known = True if decision is DecisionKind.CONTINUE_MIGRATION else None
        return cls(seconds, decision, {"?": False, "*": None}.get(word[-1], known))


class Incident(Payload):
    """One incident of the table; see the head of `incidents.yaml`."""

    name: str
    shape: str
    calm: int = 600
    scrape: int = 15
    phases: tuple[dict[str, Any], ...]
    singles: tuple[int, ...] = ()
    restarts: tuple[int, ...] = ()
    away: tuple[tuple[int, int], ...] = ()
    lost: tuple[int, ...] = ()
    silent: dict[str, int] = Field(default_factory=dict)
    events: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    looks: dict[int, str]

    @property
    def onset(self) -> int:
        """Unix seconds."""
        return BEGAN + self.calm

    def looked_at(self) -> list[Look]:
        """Its labelled moments, the earliest first."""
        return [Look.read(seconds, word) for seconds, word in sorted(self.looks.items())]


def incidents() -> list[Incident]:
    """The whole table."""
    text = resources.files(__package__).joinpath("incidents.yaml").read_text(encoding="utf-8")
    return [Incident.model_validate(one) for one in yaml.safe_load(text)]


def openmetrics(table: Sequence[Incident]) -> str:
    """Every incident's samples, told apart by the label `incident`."""
    lines = [line for incident in table for line in _Simulation(incident).lines()]
    return "\n".join([*lines, "# EOF\n"])


class _Instance:
    """The counters of one process of the product."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Each is a counter of its own: a difference of two rounded ones could fall.
        self.answered = self.errors = self.attempts = self.successes = 0.0
        self.buckets = [0.0] * (len(_BOUNDS) + 1)

    def second(self, now: Mapping[str, float], noise: float) -> None:
        """What one second adds to one of the two."""
        requests = now["rps"] / len(_INSTANCES) * noise
        attempts = now["auth_rps"] / len(_INSTANCES) * noise
        self.answered += requests * (1 - now["errors"])
        self.errors += requests * now["errors"]
        self.attempts += attempts
        self.successes += attempts * (1 - now["auth_failures"])
        self.buckets[_bucket(_FAST_SECONDS)] += requests * (1 - now["slow"])
        self.buckets[_bucket(now["slow_ms"] / 1000)] += requests * now["slow"]

    def samples(self) -> Iterator[tuple[str, str, int]]:
        """(name, labels, value); a status that never occurred has no series."""
        errors = int(self.errors)
        yield "http_requests_total", 'code="200"', int(self.answered)
        if errors:
            yield "http_requests_total", 'code="500"', errors
        total = 0.0
        for bound, count in zip((*_BOUNDS, "+Inf"), self.buckets, strict=True):
            total += count
            yield "http_request_duration_seconds_bucket", f'le="{bound}"', int(total)
        yield "http_request_duration_seconds_count", "", int(total)
        yield "auth_attempts_total", "", int(self.attempts)
        yield "auth_success_total", "", int(self.successes)


def _bucket(seconds: float) -> int:
    return next((n for n, bound in enumerate(_BOUNDS) if seconds <= bound), len(_BOUNDS))


class _Simulation:
    """One incident, second by second."""

    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self._random = random.Random(incident.name)
        self._product = {name: _Instance() for name in _INSTANCES}

    def lines(self) -> Iterator[str]:
        """Lines of the OpenMetrics format."""
        half = self._incident.scrape // 2
        for second, now in self._seconds():
            after = second - self._incident.calm
            for index, instance in enumerate(self._product.values()):
                if after in self._incident.restarts:
                    instance.reset()
                instance.second(now, 1 + self._random.uniform(-_NOISE, _NOISE))
                if index == 0 and after in self._incident.singles:
                    instance.errors += 1
            for index, name in enumerate(_INSTANCES):
                if (second + index * half) % self._incident.scrape == 0 and self._seen(after):
                    yield from self._scraped(name, second, after)
            if second % self._incident.scrape == 0 and self._seen(after):
                yield from self._looked(second, after, now)

    def _scraped(self, name: str, second: int, after: int) -> Iterator[str]:
        if after >= self._incident.silent.get("product", after + 1):
            return
        for series, labels, value in self._product[name].samples():
            yield self._line(series, f'instance="{name}"', labels, value, second)

    def _looked(self, second: int, after: int, now: Mapping[str, float]) -> Iterator[str]:
        """What does not come from the product itself: components, and a machine's memory."""
        silent = self._incident.silent
        if after < silent.get("up", after + 1):
            for number in range(_COMPONENTS):
                up = int(number >= now["down"])
                yield self._line("up", f'component="{number}"', "", up, second)
        if after < silent.get("used", after + 1):
            free = round(1000 * (1 - now["used"]))
            yield self._line("node_memory_MemTotal_bytes", "", "", 1000, second)
            yield self._line("node_memory_MemAvailable_bytes", "", "", free, second)

    def _line(self, series: str, first: str, second: str, value: int, at: int) -> str:
        labels = ",".join(
            one for one in (f'incident="{self._incident.name}"', first, second) if one
        )
        return f"{series}{{{labels}}} {value} {BEGAN + at}"

    def _seen(self, after: int) -> bool:
        """Whether this scrape was made and kept."""
        half = self._incident.scrape / 2
        return not (
            any(begin <= after < end for begin, end in self._incident.away)
            or any(abs(after - lost) < half for lost in self._incident.lost)
        )

    def _seconds(self) -> Iterator[tuple[int, Mapping[str, float]]]:
        """Every second since the calm began, with what is true in it."""
        second = 0
        for phase in _unrolled(({"seconds": self._incident.calm}, *self._incident.phases)):
            length = int(phase["seconds"])
            for elapsed in range(length):
                changed = {
                    key: _between(value, elapsed / length)
                    for key, value in phase.items()
                    if key != "seconds"
                }
                unknown = set(changed) - set(CALM)
                if unknown:
                    raise ValueError(f"{self._incident.name}: nobody knows {unknown}")
                yield second, {**CALM, **changed}
                second += 1


def _unrolled(phases: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for phase in phases:
        if "of" in phase:
            for _ in range(phase["times"]):
                yield from _unrolled(phase["of"])
        else:
            yield phase


def _between(value: float | list[float], share: float) -> float:
    if isinstance(value, list):
        return value[0] + (value[1] - value[0]) * share
    return value
