"""What a CloudWatch alarm says inside a notification of SNS.

An alarm has no identity of an outbreak: one that is over tells when that was, not when it began,
and is matched by its fingerprint.

Source: docs.aws.amazon.com/AmazonCloudWatch, "Notifying users on alarm changes".
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

_OK = "OK"
_NO_DATA = "INSUFFICIENT_DATA"


class _Dimension(Sent):
    name: str
    value: str


class _Trigger(Sent):
    metric_name: str | None = Field(default=None, alias="MetricName")
    namespace: str | None = Field(default=None, alias="Namespace")
    threshold: float | None = Field(default=None, alias="Threshold")
    dimensions: tuple[_Dimension, ...] = Field(default=(), alias="Dimensions")


class _Alarm(Sent):
    name: str = Field(alias="AlarmName", min_length=1)
    description: str | None = Field(default=None, alias="AlarmDescription")
    account: str = Field(default="", alias="AWSAccountId")
    arn: str | None = Field(default=None, alias="AlarmArn")
    region: str = Field(default="", alias="Region")
    state: Literal["ALARM", "OK", "INSUFFICIENT_DATA"] = Field(alias="NewStateValue")
    reason: str = Field(default="", alias="NewStateReason")
    changed_at: Moment = Field(alias="StateChangeTime")
    before: str | None = Field(default=None, alias="OldStateValue")
    trigger: _Trigger | None = Field(default=None, alias="Trigger")


def read_cloudwatch(document: Any, received_at: datetime) -> Reading:
    """The alarm whose state changed.

    Raises:
        WebhookError: the message is no alarm of CloudWatch.
    """
    alarm = shaped(_Alarm, document, "CloudWatch")
    over = alarm.state == _OK
    trigger = alarm.trigger or _Trigger()
    alert = Alert(
        source=AlertSource.CLOUDWATCH,
        fingerprint=identity(alarm.arn or "", alarm.account, alarm.region, alarm.name),
        name=text(alarm.name, NAME_LIMIT),
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        # Missing data is no health: it is told as what it is.
        severity="no_data" if alarm.state == _NO_DATA else "",
        starts_at=alarm.changed_at,
        ends_at=alarm.changed_at if over else None,
        received_at=received_at,
        summary=text(alarm.description or alarm.reason),
        labels=labels_of(
            {
                "state": alarm.state,
                "region": alarm.region,
                "account": alarm.account,
                "namespace": trigger.namespace,
                "metric": trigger.metric_name,
                "threshold": trigger.threshold,
            },
            {dimension.name: dimension.value for dimension in trigger.dimensions},
        ),
    )
    return Reading(alerts=(alert,))
