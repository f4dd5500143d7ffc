"""What is to be looked into after a rollback, derived from its record and from nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

from failback.models.common import Outcome
from failback.models.post_mortem import PostMortemFacts
from failback.models.recovery import Assessment, RecoveryResult
from failback.models.rollback import RollbackResult
from failback.reports import facts

_LONGEST = 300


@dataclass(frozen=True)
class Finding:
    """One question that the record raises.

    Args:
        title: what was seen.
        question: what somebody should find out.
    """

    title: str
    question: str


def to_look_into(found: PostMortemFacts) -> list[Finding]:
    """Every question, the gravest first."""
    result = found.result
    return [
        *_outcome(result),
        *_data(result),
        *_recovery(result.recovery),
        *(
            Finding(f"{name} is still paused", "Is it resumed, or is it to stay so?")
            for name in result.paused
        ),
        *_availability(result),
        *_steps(result),
        *_decisions(found),
        *_approvals(result),
        *_deliveries(found),
        *(
            Finding(f"Not on record: {what}", "Why was it not there to be read?")
            for what in found.unknown
        ),
    ]


def _outcome(result: RollbackResult) -> Iterator[Finding]:
    if not result.success:
        yield Finding(f"The rollback failed: {_short(result.error or '')}", "What was its cause?")
    if result.emergency_action is not None:
        yield Finding(
            f"The plan was left for {result.emergency_action.value}",
            "What would have let the plan go on?",
        )
    budget = facts.LEVEL_BUDGETS[result.level]
    if result.execution_seconds > budget:
        yield Finding(
            f"It took {facts.seconds(result.execution_seconds)} of {facts.seconds(budget)}",
            "Which step below took the time?",
        )


def _data(result: RollbackResult) -> Iterator[Finding]:
    loss = result.data_loss
    if loss.lost_rows:
        yield Finding(
            f"{loss.lost_rows:,} rows were lost", "Which, whose, and how do they come back?"
        )
    elif loss.lost_rows is None or loss.tail in ("pending", "unknown"):
        yield Finding(
            f"Whether data was lost is not known (tail {loss.tail})",
            "Compare both sides with failback sync verify.",
        )
    if loss.tail == "accepted":
        yield Finding(f"A tail was left behind: {_short(loss.detail)}", "What was in it?")
    if loss.parked_conflicts:
        yield Finding(
            f"{loss.parked_conflicts:,} rows changed on both sides",
            "Decide about each with failback sync conflicts.",
        )
    if result.verification is not None:
        for table in result.verification.tables:
            if not table.equal:
                wrong = table.missing + table.extra + table.different
                yield Finding(
                    f"{table.table}: {wrong:,} rows differ", "How did they come to differ?"
                )


def _recovery(recovery: RecoveryResult | None) -> Iterator[Finding]:
    if recovery is None:
        return
    if recovery.assessment is not None:
        yield from _damage(recovery.assessment)
    if recovery.loss_seconds:
        yield Finding(
            f"Writes of {facts.seconds(recovery.loss_seconds)} at most were lost",
            "Whose were they, and why did the change archive not have them?",
        )
    for one in recovery.services:
        if one.holds:
            times = "once" if one.holds == 1 else f"{one.holds} times"
            yield Finding(
                f"{one.service.value.replace('_', ' ').capitalize()} was held {times}",
                "What made it unstable?",
            )
    for item in recovery.left:
        yield Finding(
            f"{item.name.replace('_', ' ')} was left out: {_short(item.detail)}",
            "Is it still to be done?",
        )


def _damage(assessment: Assessment) -> Iterator[Finding]:
    for part in assessment.parts:
        if part.needs_restore:
            seen = "; ".join(
                f"{item.name}: {item.detail}"
                for item in part.evidence
                if item.outcome is not Outcome.SUCCEEDED
            )
            yield Finding(
                f"The source's {part.part.value} was {part.condition.value}: {_short(seen)}",
                "How was it damaged? What was damaged is kept.",
            )
    for item in assessment.choice.passed_over:
        yield Finding(
            f"Backup {item.name} was passed over: {_short(item.detail)}",
            "Why could it not be taken, and why did nobody know?",
        )


def _availability(result: RollbackResult) -> Iterator[Finding]:
    share = result.service_availability
    aim = facts.LEVEL_AVAILABILITY[result.level]
    if share is None:
        yield Finding("Availability was not measured", "Configure checks, so that it is.")
    elif share < aim:
        gap = facts.seconds(result.availability.longest_gap_seconds)
        yield Finding(
            f"Availability {share:.2%}, below the level's {aim:.2%}; longest gap {gap}",
            "Which check failed, and during which step?",
        )


def _steps(result: RollbackResult) -> Iterator[Finding]:
    for step, _ in facts.all_steps(result):
        name = step.name.replace("_", " ")
        if step.outcome is Outcome.FAILED:
            yield Finding(f"Step {name} failed: {_short(step.detail)}", "What was its cause?")
        elif step.outcome is Outcome.INCONCLUSIVE:
            yield Finding(
                f"Step {name} was inconclusive: {_short(step.detail)}", "What was it in truth?"
            )
        if step.seconds is not None and step.seconds > step.budget_seconds:
            yield Finding(
                f"Step {name} took {facts.seconds(step.seconds)} of {step.budget_seconds:g} s",
                "Is the budget wrong, or was the step slow?",
            )
        if step.attempts > 1:
            yield Finding(
                f"Step {name} needed {step.attempts} attempts", "What failed the first time?"
            )


def _decisions(found: PostMortemFacts) -> Iterator[Finding]:
    for one in found.decisions:
        blind = [reading.rule for reading in one.readings if reading.verdict == "inconclusive"]
        when = facts.clock(one.at)
        if blind:
            yield Finding(
                f"At {when} these rules had no evidence: {', '.join(blind)}",
                "Why did the metric store not have it?",
            )
        if one.basis == "alert":
            yield Finding(
                f"At {when} the metric store did not answer, and the alert's own word was taken",
                "Why was the store away, and was the alert right?",
            )


def _approvals(result: RollbackResult) -> Iterator[Finding]:
    for one in result.decisions:
        if not one.counted:
            yield Finding(
                f"{one.verb.replace('_', ' ').capitalize()} by {one.who} did not count",
                _short(one.why_not) or "Why not?",
            )


def _deliveries(found: PostMortemFacts) -> Iterator[Finding]:
    for one in found.deliveries:
        if not one.delivered:
            yield Finding(
                f"{one.kind} did not reach {one.channel}: {_short(one.detail)}",
                "Does the channel work? failback notify test tries it.",
            )
        elif one.in_time is False:
            yield Finding(
                f"{one.kind} reached {one.channel} after {facts.seconds(one.took_seconds)}, "
                f"{one.deadline_seconds or 0.0:g} s were allowed",
                f"It took {one.attempts} attempts: what was slow?",
            )
        elif one.attempts > 1:
            yield Finding(
                f"{one.kind} needed {one.attempts} attempts on {one.channel}",
                "What failed the first time?",
            )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
