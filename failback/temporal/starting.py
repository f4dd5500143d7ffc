"""How a rollback is started, whoever starts it: request, id, memo, search attributes.

Workflows use it, so it reads no clock and reaches nothing.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from failback.models.common import Level
from failback.models.rollback import RollbackRequest
from failback.temporal import ids

WORKFLOW_OF_LEVEL = {
    Level.TRAFFIC: "TrafficRollback",
    Level.DATA_SYNC: "DataSyncRollback",
    Level.FULL_SYSTEM: "FullSystemRollback",
    Level.DISASTER_RECOVERY: "DisasterRecovery",
}
"""Workflow types by level, as they are registered."""

TASK_SECONDS = timedelta(seconds=5)
"""A worker that dies with a workflow task is noticed after so long."""


@dataclass(frozen=True)
class RollbackStart:
    """What Temporal is told when a rollback starts."""

    workflow: str
    id: str
    memo: dict[str, Any]
    search_attributes: TypedSearchAttributes | None
    task_timeout: timedelta = TASK_SECONDS


def rollback_start(request: RollbackRequest) -> RollbackStart:
    """How this rollback is started; its id makes a second one of its estate impossible."""
    estate, level = request.plan.estate, request.level
    attributes = TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword("FailbackEstate"), estate),
            SearchAttributePair(SearchAttributeKey.for_int("FailbackLevel"), level.value),
        ]
    )
    return RollbackStart(
        workflow=WORKFLOW_OF_LEVEL[level],
        id=ids.rollback_workflow(estate),
        memo={"rollback_id": request.rollback_id, "level": level.value},
        search_attributes=attributes if request.search_attributes else None,
    )
