"""Alerts as every vendor's are told after they were read: one form, bounded, without secrets."""

import hashlib
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Payload


class AlertSource(StrEnum):
    """Who sends alerts, as their webhook's path names them."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    PAGERDUTY = "pagerduty"
    DATADOG = "datadog"
    CLOUDWATCH = "cloudwatch"
    GENERIC = "generic"


class AlertStatus(StrEnum):
    """Whether what an alert tells of goes on."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(Payload):
    """One alert of one vendor. Times are UTC."""

    source: AlertSource
    fingerprint: str
    """The sender's own identity of what fires; the same while it fires."""
    name: str
    status: AlertStatus = AlertStatus.FIRING
    severity: str = ""
    starts_at: datetime
    ends_at: datetime | None = None
    received_at: datetime
    summary: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    value: float | None = None
    """What the sender measured, where it says so."""
    url: str = ""
    """The sender's own page about it."""
    outbreak: str = ""
    """The sender's own identity of this outbreak, where it has one and no start that stays."""

    @property
    def key(self) -> str:
        """One text for one outbreak: the same in repeats, at every gateway, and when resolved."""
        outbreak = self.outbreak or self.starts_at.isoformat()
        parts = (self.source.value, self.fingerprint, outbreak)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class ReceivedAlerts(Payload):
    """What a gateway hands over to the estate's `AlertResponse`, at most some hundred at once."""

    alerts: tuple[Alert, ...]
