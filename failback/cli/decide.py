"""`failback decide`: what the matrix says now, or said at a moment of the past, and why."""

import asyncio
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from activities.evidence import EvidenceGatherer
from failback.cli.exits import of_assessment
from failback.cli.session import Session
from failback.cli.writing import fact, heading
from failback.decision.evaluate import assess, store_away
from failback.decision.reading import number
from failback.errors import ConfigurationError
from failback.models.common import Outcome
from failback.models.decision import (
    Assessment,
    AssessmentEvidence,
    DecisionKind,
    GatherEvidenceRequest,
    RuleReading,
    RuleVerdict,
)
from failback.providers.audit import open_audit_log
from failback.providers.compose import metric_store
from workers.evidence import evidence_gatherer

PATIENCE_SECONDS = 10.0
"""A person waits longer for evidence than an alert may."""

_STYLES = {
    RuleVerdict.FIRED: ("✗", "bold red"),
    RuleVerdict.CLEAR: ("✓", "green"),
    RuleVerdict.INCONCLUSIVE: ("?", "yellow"),
}


def decide_now(session: Session, at: str, *, explain: bool) -> int:
    """Ask the matrix and show its answer. Starts nothing, records nothing."""
    moment = _moment(at)
    evidence = asyncio.run(_gathered(session, moment))
    assessment = assess(evidence.rules, evidence)
    session.output.show(
        assessment, lambda console: _write(console, assessment, evidence, explain=explain)
    )
    return of_assessment(assessment)


def _moment(at: str) -> datetime:
    """A moment as people write it; a time without a zone is UTC."""
    now = datetime.now(UTC)
    if not at:
        return now
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise ConfigurationError(
            f"{at!r} is no time.", "Write it as in 2026-03-01T12:00:00Z."
        ) from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    if moment > now:
        raise ConfigurationError(f"{at} is still to come.", "Name a moment of the past.")
    return moment


async def _gathered(session: Session, at: datetime) -> AssessmentEvidence:
    estate = session.estate
    metrics = metric_store(estate)
    audit = open_audit_log(estate.estate, estate.audit)
    gatherer: EvidenceGatherer = evidence_gatherer(
        estate, metrics, audit, deadline_seconds=PATIENCE_SECONDS
    )
    try:
        return await gatherer.gather(GatherEvidenceRequest(at=at))
    finally:
        await asyncio.gather(
            *(port.aclose() for port in (metrics, audit) if port is not None),
            return_exceptions=True,
        )


def _write(
    console: Console, assessment: Assessment, evidence: AssessmentEvidence, *, explain: bool
) -> None:
    level = f", level {assessment.level}" if assessment.level else ""
    heading(console, f"{assessment.decision.value}{level}", _outcome(assessment))
    fact(console, "at", f"{assessment.at:%F %T} UTC")
    fact(console, "because", assessment.explanation)
    away = store_away(evidence)
    if away:
        fact(console, "metrics", f"unknown: {away}. An alert's own word would decide.", "yellow")
    if not assessment.conclusive:
        unknown = "a rule that decides higher has no evidence"
        fact(console, "conclusive", f"no: {unknown}", "yellow")
    console.print(_table(assessment.readings, explain=explain))


def _outcome(assessment: Assessment) -> Outcome:
    if assessment.decision is not DecisionKind.CONTINUE_MIGRATION:
        return Outcome.FAILED
    return Outcome.SUCCEEDED if assessment.conclusive else Outcome.INCONCLUSIVE


def _table(readings: tuple[RuleReading, ...], *, explain: bool) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    columns = ["", "rule", "class", "value", "threshold", "for", "since", "verdict"]
    for name in [*columns, *(["why"] if explain else [])]:
        table.add_column(name, justify="right" if name in ("value", "threshold", "for") else "left")
    for reading in readings:
        rule = reading.rule
        mark, style = _STYLES[reading.verdict]
        unit = f" {rule.unit}" if rule.unit not in ("", "share") else ""
        seconds = rule.within_seconds or rule.sustained_seconds
        cells = [
            Text(mark, style=style),
            Text(rule.name),
            Text(rule.rule_class.value),
            Text("" if reading.value is None else number(reading.value)),
            Text(f"{rule.comparison} {number(rule.threshold)}{unit}"),
            Text(f"{'within ' if rule.within_seconds else ''}{seconds:g} s"),
            Text("" if reading.since is None else f"{reading.since:%T}"),
            Text(reading.verdict.value, style=style),
        ]
        if explain:
            cells.append(Text(reading.explanation, style="dim", overflow="fold"))
        table.add_row(*cells)
    return table
