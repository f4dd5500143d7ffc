"""What `AlertResponse` asks of a rollback, and what it shows of itself."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Level
    from failback.models.responses import (
        AUTOMATION,
        ActionKind,
        Decided,
        ResponseState,
        Situation,
    )
    from failback.models.rollback import RollbackPlan, RollbackRequest
    from failback.temporal import ids


def rollback(situation: Situation, decided: Decided) -> RollbackRequest | None:
    """The rollback that a decision starts; None where the configuration has no plan for it."""
    plan = situation.plan
    if plan is None:
        return None
    level = Level.TRAFFIC if decided.level == Level.TRAFFIC else Level.DATA_SYNC
    asking = decided.action.kind is ActionKind.ASK
    return RollbackRequest(
        rollback_id=ids.rollback_id(level.value, workflow.now(), workflow.uuid4().hex[:4]),
        level=level,
        reason=reason(decided),
        requested_by=AUTOMATION,
        plan=_asking(plan) if asking else plan,
        search_attributes=situation.search_attributes,
        evidence=decided.digest,
    )


def _asking(plan: RollbackPlan) -> RollbackPlan:
    """The plan with somebody to approve it, also where its level needs nobody."""
    if plan.approval.asks:
        return plan
    return plan.model_copy(update={"approval": plan.approval.model_copy(update={"quorum": 1})})


def reason(decided: Decided) -> str:
    """Why, as it stands in every record of the rollback."""
    return f"{decided.decision.value}: {decided.explanation}"[:1000]


def story(estate: str, state: ResponseState) -> str:
    """The state of things for Temporal's own UI."""
    mode = state.policy.mode.value if state.policy is not None else "not known yet"
    lines = [
        f"**Alerts of {estate}**: {len(state.standing)} fire, {state.received} received",
        f"Mode: {mode}",
    ]
    if state.decided is not None:
        decided = state.decided
        lines.append(
            f"Decision at {decided.at:%F %T}: {decided.decision.value}"
            f"{'' if decided.conclusive else ' (inconclusive)'}. {decided.explanation}"
        )
        lines.append(f"Done: {decided.action.kind.value} ({decided.action.why})")
    if state.handling is not None:
        lines.append(f"Rollback: {state.handling.rollback_id}")
    if state.investigation is not None:
        lines.append(
            f"Investigation {state.investigation.investigation_id} is open: "
            'signal `close_investigation` with `{"who": …}`.'
        )
    return "\n\n".join(lines)
