"""What a recovery found and did, in sentences for the people at its gates."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Outcome
    from failback.models.recovery import Assessment, Condition, RestoreReport


def assessed(found: Assessment) -> str:
    """An assessment in a sentence."""
    parts = ", ".join(f"{one.part.value} {one.condition.value}" for one in found.parts)
    backup = found.choice.backup or found.choice.detail or "no backup"
    return f"{parts}; backup: {backup}; estimated loss: {_seconds(found.loss_seconds)}"


def evidence(found: Assessment) -> list[str]:
    """What speaks for or against a restore, a line each."""
    lines = [
        f"{one.part.value} is {one.condition.value}: {item.name}: {item.detail}"
        for one in found.parts
        for item in one.evidence
        if item.outcome is not Outcome.SUCCEEDED or one.condition is Condition.HEALTHY
    ]
    choice = found.choice
    if choice.backup:
        lines.append(
            f"backup {choice.backup}, taken {choice.taken_at:%F %T} UTC, "
            f"proven {choice.proven_at:%F %T} UTC"
            if choice.taken_at and choice.proven_at
            else f"backup {choice.backup}"
        )
    lines.extend(
        f"backup {item.name} was passed over: {item.detail}" for item in choice.passed_over
    )
    archive = found.archive
    lines.append(
        f"archive: {archive.segments} segments up to {archive.last_position}"
        if archive.joins_backup
        else f"archive: {archive.detail or 'does not reach back to the backup'}"
    )
    return lines


def restored(report: RestoreReport) -> str:
    """A restore or a replay in a sentence."""
    parts = [report.place] if report.place else []
    if report.rows:
        parts.append(f"{report.tables} tables, {report.rows} rows from {report.backup}")
    if report.replayed_segments:
        parts.append(f"{report.replayed_keys} keys of {report.replayed_segments} segments replayed")
    if report.detail:
        parts.append(report.detail)
    return "; ".join(parts)


def _seconds(loss: float | None) -> str:
    return "not known" if loss is None else f"{loss:.0f} s"
