"""Prometheus Alertmanager's webhook, version 4.

Source: prometheus.io/docs/alerting/latest/configuration, `webhook_config`.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from failback.gateway.parsers.reading import (
    NAME_LIMIT,
    Moment,
    Reading,
    Sent,
    identity,
    labels_of,
    shaped,
    text,
)
from failback.models.alerts import Alert, AlertSource, AlertStatus


class GroupedAlert(Sent):
    """One alert of a group, as Alertmanager and Grafana write it."""

    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: Moment = Field(alias="startsAt")
    ends_at: Moment | None = Field(default=None, alias="endsAt")
    generator_url: str = Field(default="", alias="generatorURL")
    fingerprint: str = ""

    def normalised(
        self, source: AlertSource, received_at: datetime, value: float | None = None
    ) -> Alert:
        """The alert in our own form."""
        over = self.status is AlertStatus.RESOLVED
        told = self.annotations.get("summary") or self.annotations.get("description")
        labels = "\n".join(f"{name}={value}" for name, value in sorted(self.labels.items()))
        return Alert(
            source=source,
            fingerprint=identity(self.fingerprint) if self.fingerprint else identity(labels, ""),
            name=text(self.labels.get("alertname"), NAME_LIMIT) or "unnamed",
            status=self.status,
            severity=text(self.labels.get("severity"), NAME_LIMIT).lower(),
            starts_at=self.starts_at,
            # While it fires this is a time in the year 1, or one by which it would be over.
            ends_at=self.ends_at if over else None,
            received_at=received_at,
            summary=text(told),
            labels=labels_of(self.labels),
            value=value,
            url=text(self.generator_url),
        )


class _Group(Sent):
    version: Literal["4"]
    group_key: str = Field(alias="groupKey")
    truncated: int = Field(default=0, alias="truncatedAlerts", ge=0)
    receiver: str
    alerts: tuple[GroupedAlert, ...] = Field(min_length=1)


def read_alertmanager(document: Any, received_at: datetime) -> Reading:
    """Every alert of a group; those that Alertmanager left out are counted.

    Raises:
        WebhookError: it is no webhook of Alertmanager, version 4.
    """
    group = shaped(_Group, document, "Alertmanager")
    return Reading(
        alerts=tuple(
            alert.normalised(AlertSource.ALERTMANAGER, received_at) for alert in group.alerts
        ),
        truncated=group.truncated,
    )
