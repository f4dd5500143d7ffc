"""How an estate's evidence is gathered, from its configuration."""

import math

from activities.evidence import EvidenceGatherer
from activities.watching import AnomalyWatch
from failback.config import Estate
from failback.decision.anomaly import THRESHOLD, Detector
from failback.decision.matrix import ANOMALY_SCORE
from failback.ports import AuditLog, MetricStore

_PATIENCE_SHARE = 0.2
"""Of the deadline: the lowest of all rules must not keep a rollback waiting."""


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
    deadline = deadline_seconds or estate.decision.evidence_deadline_seconds
    return EvidenceGatherer(
        estate.rules,
        metrics,
        audit,
        deadline_seconds=deadline,
        watch=_watch(estate, deadline * _PATIENCE_SHARE),
    )


def _watch(estate: Estate, patience_seconds: float) -> AnomalyWatch | None:
    """Our own detector, unless the estate says where its anomaly score is to be read."""
    if ANOMALY_SCORE in estate.queries:
        return None
    config = estate.decision.anomaly
    return AnomalyWatch(
        config.metrics,
        Detector,
        history_seconds=config.history_seconds,
        step_seconds=config.step_seconds,
        patience_seconds=patience_seconds,
        # The p-value that each metric must reach is that of one, divided by their number (C. E.
        # Bonferroni); a ratio is a logarithm of a p-value over the one that counts as unusual.
        discount=math.log10(max(1, len(config.metrics))) / -math.log10(1.0 - THRESHOLD),
    )
