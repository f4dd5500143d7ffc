"""A rollback scored against the success criteria of the specification, by what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from failback.models.common import Level, Outcome
from failback.models.messages import Audience, Delivery
from failback.models.post_mortem import PostMortemFacts
from failback.models.rollback import RollbackResult
from failback.reports import facts

LEAST_AVAILABILITY = 0.995
RESTORED_SECONDS = 60.0
LARGEST_LOSS_SECONDS = 900.0

MET, MISSED, UNKNOWN = "met", "missed", "not measured"


@dataclass(frozen=True)
class Criterion:
    """One row of the table.

    Args:
        name: what is asked for.
        target: what the specification wants.
        measured: what was measured, in words.
        verdict: `met`, `missed` or `not measured`.
    """

    name: str
    target: str
    measured: str
    verdict: str

    @property
    def tone(self) -> str:
        """The colour's name."""
        return {MET: "good", MISSED: "bad"}.get(self.verdict, "quiet")


def scored(found: PostMortemFacts) -> list[Criterion]:
    """Every criterion that one rollback can be measured by."""
    result = found.result
    return [
        _execution(result),
        _restored(result),
        _integrity(result),
        _accuracy(result),
        _availability(result),
        _loss(result),
        _success(result),
        *_told(found.deliveries),
        _completed(found),
    ]


def _execution(result: RollbackResult) -> Criterion:
    budget = facts.LEVEL_BUDGETS[result.level]
    return _at_most(f"execution time, level {result.level.value}", result.execution_seconds, budget)


def _restored(result: RollbackResult) -> Criterion:
    """Restored means: the service checks passed on the source."""
    name, target = "service restored after the rollback's end", f"{RESTORED_SECONDS:g} s"
    checks = [
        step for step, _ in facts.all_steps(result) if step.name == "verify" and step.ended_at
    ]
    if not checks:
        return Criterion(name, target, "the service was not checked", UNKNOWN)
    last = checks[-1]
    if last.outcome is not Outcome.SUCCEEDED or last.ended_at is None:
        return Criterion(
            name, target, last.detail or "the checks did not pass", _unsure(last.outcome)
        )
    late = (last.ended_at - result.ended_at).total_seconds()
    if late <= 0.0:
        return Criterion(name, target, "checked before its end", MET)
    return _at_most(name, late, RESTORED_SECONDS)


def _integrity(result: RollbackResult) -> Criterion:
    """The share of compared tables that hold the same on both sides, rules among them."""
    name = "data integrity"
    found = result.verification
    if found is None or not found.tables:
        return Criterion(name, "1.0", "both sides were not compared", UNKNOWN)
    rules = [*found.foreign_keys, *found.rules]
    whole = sum(table.equal for table in found.tables) + sum(not rule.violations for rule in rules)
    count = len(found.tables) + len(rules)
    exact = "" if found.exact else ", not exact"
    verdict = MET if whole == count and found.exact else MISSED if whole < count else UNKNOWN
    return Criterion(name, "1.0", f"{whole / count:.4f}{exact}", verdict)


def _accuracy(result: RollbackResult) -> Criterion:
    """The share of rows that the source has as the target had them."""
    name = "sync accuracy"
    found = result.verification
    rows = sum(table.target_rows for table in found.tables) if found else 0
    if found is None or not rows:
        return Criterion(name, "1.0", "both sides were not compared", UNKNOWN)
    wrong = found.missing + found.different
    share = max(0.0, 1.0 - wrong / rows)
    shown = "1.0" if not wrong else f"{min(share, 0.999999):.6f}, {wrong:,} rows differ"
    return Criterion(name, "1.0", shown, MISSED if wrong else MET)


def _availability(result: RollbackResult) -> Criterion:
    share = result.service_availability
    target = f"{LEAST_AVAILABILITY:g}"
    if share is None:
        return Criterion("availability during it", target, "nothing was probed", UNKNOWN)
    seen = result.availability
    return Criterion(
        "availability during it",
        target,
        f"{share:.4f} ({seen.passed:,} of {seen.probes:,} probes)",
        MET if share >= LEAST_AVAILABILITY else MISSED,
    )


def _loss(result: RollbackResult) -> Criterion:
    loss = result.data_loss
    name = "data loss"
    if result.level is Level.DISASTER_RECOVERY:
        target = f"at most {LARGEST_LOSS_SECONDS:g} s"
        if result.recovery is not None and result.recovery.loss_seconds is not None:
            return _at_most(name, result.recovery.loss_seconds, LARGEST_LOSS_SECONDS)
    else:
        target = "0"
    if loss.lost_rows is None or loss.tail in ("pending", "unknown"):
        return Criterion(name, target, f"not known, tail {loss.tail}", UNKNOWN)
    return Criterion(name, target, f"{loss.lost_rows:,} rows", MISSED if loss.lost_rows else MET)


def _success(result: RollbackResult) -> Criterion:
    return Criterion(
        "rollback succeeded",
        "yes",
        "yes" if result.success else result.error or "no",
        MET if result.success else MISSED,
    )


def _told(deliveries: Sequence[Delivery]) -> Iterator[Criterion]:
    """The slowest delivery to each group of readers against its deadline."""
    groups: dict[str, tuple[float, list[Delivery]]] = {
        "stakeholders notified": (30.0, []),
        "status page updated": (60.0, []),
        "customers told": (300.0, []),
    }
    for one in deliveries:
        for name in _groups(one):
            groups[name][1].append(one)
    for name, (deadline, ones) in groups.items():
        target = f"{deadline:g} s"
        if not ones:
            yield Criterion(name, target, "no such channel was told", UNKNOWN)
            continue
        told = [one.took_seconds for one in ones if one.took_seconds is not None]
        silent = len(ones) - len(told)
        slowest = max(told, default=0.0)
        shown = [f"{len(told)} delivered, slowest after {facts.seconds(slowest)}"] if told else []
        shown += [f"{silent} never arrived"] if silent else []
        met = not silent and slowest <= deadline
        yield Criterion(name, target, "; ".join(shown), MET if met else MISSED)


def _groups(one: Delivery) -> list[str]:
    audiences = set(one.audiences)
    found = []
    if Audience.STATUS_PAGE in audiences:
        found.append("status page updated")
    if Audience.CUSTOMERS in audiences:
        found.append("customers told")
    if not audiences or audiences - {Audience.STATUS_PAGE, Audience.CUSTOMERS}:
        found.append("stakeholders notified")
    return found


def _completed(found: PostMortemFacts) -> Criterion:
    name = "post-mortem complete"
    allowed = (found.due_at - found.result.ended_at).total_seconds() / 3600.0
    target = f"{round(allowed, 2):g} h"
    if found.completion is None:
        overdue = found.written_at > found.due_at
        return Criterion(name, target, "open", MISSED if overdue else UNKNOWN)
    took = (found.completion.at - found.result.ended_at).total_seconds() / 3600.0
    return Criterion(
        name,
        target,
        f"{took:.1f} h, by {found.completion.who}",
        MET if found.completion.at <= found.due_at else MISSED,
    )


def _at_most(name: str, took: float, allowed: float) -> Criterion:
    return Criterion(
        name, f"{allowed:g} s", facts.seconds(took), MET if took <= allowed else MISSED
    )


def _unsure(outcome: Outcome | None) -> str:
    return MISSED if outcome is Outcome.FAILED else UNKNOWN
