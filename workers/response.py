"""How an estate answers alerts, from its configuration."""

from activities.response import ResponseSettings
from failback.config import Estate
from failback.models.responses import ResponsePolicy
from failback.temporal.starting import WORKFLOW_OF_LEVEL


def response_settings(estate: Estate, *, search_attributes: bool) -> ResponseSettings:
    """The policy, the matrix and the plans of an estate.

    Args:
        estate: the configuration.
        search_attributes: whether the namespace knows failback's search attributes.
    """
    decision = estate.decision
    routes = estate.plan(1).routes
    return ResponseSettings(
        policy=ResponsePolicy(
            mode=decision.mode,
            evaluate_seconds=decision.evaluate_seconds,
            cool_down_seconds=decision.cool_down_seconds,
            automatic_at_most=decision.automatic_at_most,
            automatic_within_seconds=decision.automatic_within_seconds,
            level_1_asks=estate.plan(1).approval.asks,
            label=decision.fallback.label,
            people=estate.approvals.people,
            pauses=estate.investigation.pause_url is not None,
        ),
        rules=estate.rules,
        words=decision.fallback.words(),
        plans={level.value: estate.plan(level.value) for level in WORKFLOW_OF_LEVEL},
        routes=tuple(backend for route in routes for backend in route.backends),
        search_attributes=search_attributes,
    )
