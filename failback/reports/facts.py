"""What a rollback's report says, worked out from its result; how it looks is elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from failback.models.common import Level, Outcome, Payload
from failback.models.rollback import RollbackResult, StepRecord

LEVEL_NAMES = {
    Level.TRAFFIC: "traffic rollback",
    Level.DATA_SYNC: "data-sync rollback",
    Level.FULL_SYSTEM: "full-system rollback",
    Level.DISASTER_RECOVERY: "disaster recovery",
}
LEVEL_BUDGETS = {
    Level.TRAFFIC: 30.0,
    Level.DATA_SYNC: 300.0,
    Level.FULL_SYSTEM: 900.0,
    Level.DISASTER_RECOVERY: 3600.0,
}
"""Seconds that each level may take, by the specification."""

LEVEL_AVAILABILITY = {
    Level.TRAFFIC: 0.9999,
    Level.DATA_SYNC: 0.999,
    Level.FULL_SYSTEM: 0.995,
    Level.DISASTER_RECOVERY: 0.95,
}
"""Share of customers' requests that each level must keep answering."""

LEAST_BAR = 0.4
"""Width in percent that keeps a step of a millisecond visible."""


class ReportExtras(Payload):
    """What clients saw, where a journal of their acknowledged writes exists."""

    acknowledged: int | None = None
    """Writes that the service acknowledged."""
    lost: int | None = None
    """Acknowledged writes that the source does not have."""
    wrong: int | None = None
    """Acknowledged writes that the source has with another value."""
    write_gap_seconds: float | None = None
    """From the last write that the target acknowledged to the first that the source did."""
    requests: int | None = None
    requests_failed: int | None = None
    failed_by_side: dict[str, int] | None = None
    """Failed requests by who answered, `target`, `source` or `nobody`: what a broken target
    failed is why the rollback was asked for, and no work of its own."""
    requests_since_flip: int | None = None
    """Requests that ended after the source's first answer."""
    failed_since_flip: int | None = None
    """Those of them that failed."""
    journal: str = ""
    """Name of the journal that these figures were counted from."""

    def failed(self, side: str) -> int:
        """Failed requests that this side answered."""
        return (self.failed_by_side or {}).get(side, 0)

    @property
    def any(self) -> bool:
        """Whether there is anything to show."""
        return any(
            value is not None
            for value in (self.acknowledged, self.requests, self.write_gap_seconds)
        )


@dataclass(frozen=True)
class Verdict:
    """The first thing that a tired person reads.

    Args:
        tone: `good`, `warn` or `bad`.
        title: one short sentence.
        text: what follows from it.
    """

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class Bar:
    """One step on the time axis. Places are in percent of its width."""

    step: StepRecord
    depth: int
    left: float
    width: float
    used: float
    """Share of the budget, in percent; may be above 100."""

    @property
    def tone(self) -> str:
        """The colour's name."""
        if self.step.outcome is Outcome.FAILED:
            return "bad"
        if self.step.outcome is Outcome.INCONCLUSIVE or self.used > 100:  # noqa: PLR2004 - percent
            return "warn"
        return "good"


@dataclass(frozen=True)
class Axis:
    """The time from the moment the rollback might act to its end."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length; never 0, so that it can be divided by."""
        return max((self.end - self.start).total_seconds(), 0.001)

    def place(self, at: datetime) -> float:
        """A moment in percent of the axis."""
        share = (at - self.start).total_seconds() / self.seconds
        return 100.0 * min(max(share, 0.0), 1.0)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """About five round moments with their places."""
        rough = self.seconds / 5
        size = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 0.001
        while size < rough:
            size *= 2.5 if str(size).lstrip("0.").startswith("2") else 2
        for number in range(int(self.seconds / size) + 1):
            yield 100.0 * number * size / self.seconds, f"{number * size:g} s"


def verdict(result: RollbackResult, extras: ReportExtras) -> Verdict:
    """Whether the service is back, and whether anything was lost."""
    loss = result.data_loss
    if extras.lost:
        return Verdict(
            "bad",
            f"{extras.lost:,} acknowledged writes are missing on the source",
            "Clients were told that these were written; the journal names them.",
        )
    if loss.lost_rows:
        title = f"{loss.lost_rows:,} rows of the target are not on the source"
        return Verdict("bad", title, loss.detail)
    if not result.success:
        return Verdict(
            "bad", _failure(result), f"{loss.detail}.".capitalize() if loss.detail else ""
        )
    return _success(result)


def _success(result: RollbackResult) -> Verdict:
    """Success has shades: what is not known, and what people still have to decide."""
    loss = result.data_loss
    if loss.tail == "accepted":
        return Verdict("warn", "The service is back, with a tail left on the target", loss.detail)
    if loss.lost_rows is None or loss.tail in ("pending", "unknown"):
        return Verdict(
            "warn",
            "The service is back; whether everything was carried over is not known",
            f"The tail is {loss.tail}. {loss.detail}".strip(),
        )
    if loss.parked_conflicts:
        return Verdict(
            "warn",
            "Nothing was lost, and some rows wait for a decision",
            f"{loss.parked_conflicts} rows changed on both sides; both versions are kept.",
        )
    return Verdict("good", "The service is back on the source, and nothing was lost", loss.detail)


def next_steps(result: RollbackResult, extras: ReportExtras) -> list[tuple[str, str]]:
    """What is left to do, each with the command for it; empty where nothing is."""
    loss, steps = result.data_loss, []
    if extras.lost or extras.wrong or (result.verification and _differs(result)):
        steps.append(
            ("Compare both sides again; the target is fenced and kept.", "failback sync verify")
        )
    if result.level is Level.DATA_SYNC and result.verification is None and not result.success:
        steps.append(("Both sides were not compared yet.", "failback sync verify"))
    if loss.tail == "pending":
        steps.append(
            (
                "Changes on the fenced target have not all reached the source.",
                "failback sync status",
            )
        )
        steps.append(
            (
                "If they never will, a named person accepts the rest.",
                f"failback rollback accept-tail {result.rollback_id} --as NAME --role ROLE",
            )
        )
    if loss.tail == "unknown":
        steps.append(
            ("Nothing was captured: compare both sides row by row.", "failback sync verify")
        )
    if loss.parked_conflicts:
        steps.append(("Decide about the parked rows.", "failback sync conflicts list"))
    if result.paused:
        steps.append(
            ("The migration stays paused until somebody decides.", "failback pauses resume")
        )
    if result.recovery is not None and result.recovery.manual_intervention_required:
        steps.append(("The runbook below says what is left.", "failback recovery status"))
    if not result.success:
        steps.append(("See what works and what does not.", "failback check"))
    return steps


def axis(result: RollbackResult) -> Axis:
    """The axis of a result; waiting for people is not on it."""
    steps = list(all_steps(result))
    began = result.started_at + timedelta(seconds=result.waited_seconds)
    start = min([began, *(step.started_at for step, _ in steps)])
    ends = [step.ended_at for step, _ in steps if step.ended_at is not None]
    return Axis(start, max([result.ended_at, *ends]))


def bars(result: RollbackResult, along: Axis) -> list[Bar]:
    """Every step of a rollback and of its children, each in its place."""
    return [_bar(step, depth, along) for step, depth in all_steps(result)]


def moments(result: RollbackResult) -> list[tuple[datetime, str]]:
    """The moments that people ask for first, in their order."""
    found = [(result.started_at, "asked for")]
    found.extend(
        (one.at, f"{one.verb.replace('_', ' ')} by {one.who}")
        for one in result.decisions
        if one.counted
    )
    if result.held_at is not None:
        found.append((result.held_at, "requests held"))
    ends = {
        step.name: step.ended_at
        for step, _ in all_steps(result)
        if step.ended_at is not None and step.outcome is Outcome.SUCCEEDED
    }
    found.extend(
        (ends[name], text)
        for name, text in (
            ("fence", "target fenced"),
            ("drain", "tail drained"),
            ("sync_back", "tail drained"),
            ("verify_integrity", "both sides compared"),
            ("load_balancer", "traffic on the source"),
            ("open_source", "source takes writes"),
        )
        if name in ends
    )
    if result.released_at is not None:
        found.append((result.released_at, "requests let through"))
    found.append((result.ended_at, "closed"))
    return sorted(found, key=lambda one: one[0])


def clock(at: datetime) -> str:
    """A moment of the day in UTC, with milliseconds."""
    return f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3]


def seconds(number: float | None) -> str:
    """A length of time that a person can take in at a glance."""
    if number is None:
        return "not known"
    if number < 0.9995:  # noqa: PLR2004 - below a second, milliseconds read better
        return f"{number * 1000:.0f} ms"
    if number < 120:  # noqa: PLR2004 - two minutes
        return f"{number:.2f} s" if number < 10 else f"{number:.1f} s"  # noqa: PLR2004 - digits
    rest = f" {number % 60:.0f} s" if number % 60 >= 0.5 else ""  # noqa: PLR2004 - rounds to 1
    return f"{number // 60:.0f} min{rest}"


def _failure(result: RollbackResult) -> str:
    """Where a failed rollback has left the customers."""
    if not result.steps:
        return "The rollback did not begin; the target serves as before"
    if result.emergency_action is None:
        return "The rollback failed"
    flipped = result.children[-1].success if result.children else False
    if flipped:
        return "The plan failed, and customers were sent to the source without it"
    return "The plan failed, and traffic was forced to the source"


def _differs(result: RollbackResult) -> bool:
    found = result.verification
    return found is not None and bool(found.missing + found.extra + found.different)


def _bar(step: StepRecord, depth: int, along: Axis) -> Bar:
    end = step.ended_at or along.end
    left = min(along.place(step.started_at), 100.0 - LEAST_BAR)
    width = max(along.place(end) - left, LEAST_BAR)
    took = (end - step.started_at).total_seconds()
    return Bar(step, depth, left, width, 100.0 * took / step.budget_seconds)


def all_steps(result: RollbackResult, depth: int = 0) -> Iterator[tuple[StepRecord, int]]:
    """Steps with those of children after the step that ran them."""
    children = list(result.children)
    for step in result.steps:
        yield step, depth
        for child in list(children):
            if step.started_at <= child.started_at and (
                step.ended_at is None or child.started_at <= step.ended_at
            ):
                children.remove(child)
                yield from all_steps(child, depth + 1)
    for child in children:
        yield from all_steps(child, depth + 1)
