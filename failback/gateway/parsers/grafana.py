"""Grafana's alerting webhook in its own form, without a custom payload.

Source: grafana.com/docs, "Configure webhook notifications".
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, FiniteFloat

from failback.gateway.parsers.alertmanager import GroupedAlert
from failback.gateway.parsers.reading import Reading, Sent, shaped
from failback.models.alerts import Alert, AlertSource


class _Alert(GroupedAlert):
    values: dict[str, FiniteFloat | None] | None = None
    dashboard_url: str = Field(default="", alias="dashboardURL")
    panel_url: str = Field(default="", alias="panelURL")

    def read(self, received_at: datetime) -> Alert:
        """In our own form; a value is told where the rule has just one."""
        known = [value for value in (self.values or {}).values() if value is not None]
        alert = self.normalised(
            AlertSource.GRAFANA, received_at, known[0] if len(known) == 1 else None
        )
        page = self.panel_url or self.dashboard_url
        return alert.model_copy(update={"url": page[:1000]}) if page else alert


class _Group(Sent):
    version: Literal["1"]
    org_id: int = Field(alias="orgId")
    group_key: str = Field(alias="groupKey")
    truncated: int = Field(default=0, alias="truncatedAlerts", ge=0)
    alerts: tuple[_Alert, ...] = Field(min_length=1)


def read_grafana(document: Any, received_at: datetime) -> Reading:
    """Every alert of a group; those that Grafana left out are counted.

    Raises:
        WebhookError: it is no webhook of Grafana's own form.
    """
    group = shaped(_Group, document, "Grafana")
    return Reading(
        alerts=tuple(alert.read(received_at) for alert in group.alerts), truncated=group.truncated
    )
