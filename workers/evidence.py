"""How an estate's evidence is gathered, from its configuration."""

from activities.evidence import EvidenceGatherer
from failback.config import Estate
from failback.ports import AuditLog, MetricStore


def evidence_gatherer(
    estate: Estate,
    metrics: MetricStore | None,
    audit: AuditLog | None,
    *,
    deadline_seconds: float | None = None,
) -> EvidenceGatherer:
    """Reads what the estate's matrix asks for.

    Args:
        estate: the configuration.
        metrics: its metric store; None where it has none.
        audit: its audit log.
        deadline_seconds: instead of the configured one, for a person who has more time.
    """
    return EvidenceGatherer(
        estate.rules,
        metrics,
        audit,
        deadline_seconds=deadline_seconds or estate.decision.evidence_deadline_seconds,
    )
