"""The hash that approvals are bound to. Pure: workflows use it."""

import hashlib
import json
from typing import Any

from failback.models.common import Level
from failback.models.rollback import RollbackPlan


def plan_hash(plan: RollbackPlan, level: Level, reason: str, evidence: str = "") -> str:
    """SHA-256 over everything that a person approves, hexadecimal.

    Fields at their defaults are left out, so that a field that a later version adds does not
    change the hash of a rollback that waits while the worker is upgraded.

    Args:
        plan: what will be done.
        level: how it will be done.
        reason: why, as the person reads it.
        evidence: digest of the decision that led to it; empty where a person asked.
    """
    document: dict[str, Any] = {
        "plan": plan.model_dump(mode="json", exclude_defaults=True),
        "level": level.value,
        "reason": reason,
        "evidence": evidence,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
