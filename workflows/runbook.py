"""What is left to do where a recovery ends without its goal: a runbook for people."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Outcome
    from failback.models.recovery import RecoveryResult, RecoveryService
    from failback.models.rollback import RollbackRequest, StepRecord

_BY_HAND = {
    "assess": "Find out what is damaged: `failback recovery assess`.",
    "activate": "Start the standby, and look at what `failback recovery assess` says of it.",
    "restore": "Restore the newest proven backup beside the damaged database "
    "(`failback backup list`), then replay the archive (docs/recovery.md).",
    "rebuild": "Point pools, DSNs, routes, secrets and names at what was restored "
    "(docs/recovery.md has the list).",
    "validate": "Check references, business rules and objects: `failback validate`.",
    "return_services": "Return the services in their order, each once the one before is stable.",
}


def runbook(request: RollbackRequest, recovery: RecoveryResult, steps: Sequence[StepRecord]) -> str:
    """Markdown: what was done, what was not, and what to do next, in order."""
    lines = [
        f"# Recovery of {request.plan.estate}: people have to take over",
        "",
        f"Rollback {request.rollback_id}, asked for by {request.requested_by}: {request.reason}",
        "",
        "## What was done",
        "",
        *_steps(steps),
        "",
        "## What is left",
        "",
        *_left(recovery, steps),
        "",
        "## Before anything else",
        "",
        "- Nothing that was damaged has been overwritten; keep it for forensics.",
        "- See which side takes writes before letting anybody in: `failback fence status`.",
        "- Start again when ready: `failback rollback start --level 4 --reason …`.",
        "- Steps that are done already are done again without harm.",
    ]
    return "\n".join(lines) + "\n"


def _steps(steps: Sequence[StepRecord]) -> list[str]:
    if not steps:
        return ["- Nothing."]
    return [
        f"- {step.name}: {step.outcome.value if step.outcome else 'not ended'}"
        f"{f' ({step.detail})' if step.detail else ''}"
        for step in steps
    ]


def _left(recovery: RecoveryResult, steps: Sequence[StepRecord]) -> list[str]:
    passed = {
        gate.step
        for gate in recovery.gates
        if gate.answer is not None and gate.answer.verb.value == "go_on"
    }
    newest = {step.name: step.outcome for step in steps}
    failed = {name for name, outcome in newest.items() if outcome is Outcome.FAILED}
    lines = [f"1. `{item.name}` was left out: {item.detail}" for item in recovery.left]
    lines += [f"1. `{name}` failed: see above for why." for name in sorted(failed)]
    lines += [
        f"1. {text}" for name, text in _BY_HAND.items() if name not in passed and name != "assess"
    ]
    back = {one.service for one in recovery.services if one.outcome is Outcome.SUCCEEDED}
    waiting = [service.value for service in RecoveryService if service not in back]
    if waiting:
        lines.append(f"1. Not returned yet, in this order: {', '.join(waiting)}.")
    return lines
