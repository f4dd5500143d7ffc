"""What senders send, in the shapes that they publish; values are made up."""

import json
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 3, 1, 3, 15, 2, tzinfo=UTC)
"""When every body here is received."""

TOPIC = "arn:aws:sns:eu-central-1:123456789012:shop-alarms"


def alertmanager(
    count: int = 1, status: str = "firing", truncated: int = 0, prefix: str = "fp"
) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}/{severity="critical"}:{alertname="HighErrorRate"}',
        "truncatedAlerts": truncated,
        "status": status,
        "receiver": "failback",
        "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {"alertname": "HighErrorRate", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [
            {
                "status": status,
                "labels": {
                    "alertname": "HighErrorRate",
                    "severity": "Critical",
                    "instance": f"api-{number}",
                },
                "annotations": {"summary": "7.3 % of requests fail", "runbook_url": "https://r"},
                "startsAt": "2026-03-01T03:14:40.123456789Z",
                "endsAt": (
                    "2026-03-01T03:15:01Z" if status == "resolved" else "0001-01-01T00:00:00Z"
                ),
                "generatorURL": "http://prometheus.example:9090/graph?g0.expr=x",
                "fingerprint": f"{prefix}{number:014x}",
            }
            for number in range(count)
        ],
    }


def grafana(status: str = "firing", **changes: Any) -> dict[str, Any]:
    return {
        "receiver": "failback",
        "status": status,
        "orgId": 1,
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "Slow", "grafana_folder": "shop", "severity": "warning"},
                "annotations": {"description": "p95 is high"},
                "startsAt": "2026-03-01T04:14:40+01:00",
                "endsAt": "0001-01-01T00:00:00Z",
                "values": {"B": 2345.5},
                "valueString": "[ var='B' labels={} value=2345.5 ]",
                "generatorURL": "https://grafana.example/alerting/grafana/abc/view",
                "fingerprint": "c6eadffa33fcdf37",
                "silenceURL": "https://grafana.example/alerting/silence/new",
                "dashboardURL": "https://grafana.example/d/abc",
                "panelURL": "https://grafana.example/d/abc?viewPanel=2",
                "imageURL": "",
                "orgId": 1,
            }
        ],
        "groupLabels": {"alertname": "Slow"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://grafana.example/",
        "version": "1",
        "groupKey": '{}/{}:{alertname="Slow"}',
        "truncatedAlerts": 0,
        "title": "[FIRING:1] Slow",
        "state": "alerting",
        "message": "**Firing**",
        **changes,
    }


def pagerduty(
    event_type: str = "incident.triggered", occurred_at: str = "2026-03-01T03:15:00.000Z"
) -> dict[str, Any]:
    return {
        "event": {
            "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": occurred_at,
            "agent": {"id": "PLH1HKV", "type": "user_reference", "summary": "Somebody"},
            "client": {"name": "PagerDuty"},
            "data": {
                "id": "PGR0VU2",
                "type": "incident",
                "self": "https://api.pagerduty.com/incidents/PGR0VU2",
                "html_url": "https://shop.pagerduty.com/incidents/PGR0VU2",
                "number": 2,
                "status": "triggered",
                "incident_key": "d3640fbd41094207a1c11e58e46b1662",
                "created_at": "2026-03-01T03:14:40Z",
                "title": "Checkout fails",
                "service": {"id": "PF9KMXH", "summary": "Shop API", "type": "service_reference"},
                "assignees": [],
                "escalation_policy": {"id": "PUS0KTE", "summary": "Default"},
                "teams": [],
                "priority": {"id": "PSO75BM", "summary": "P1", "type": "priority_reference"},
                "urgency": "high",
                "conference_bridge": None,
                "resolve_reason": None,
            },
        }
    }


def datadog(transition: str = "Triggered", **changes: Any) -> dict[str, Any]:
    return {
        "alert_id": "1234",
        "alert_cycle_key": "3bd4ac313a4d1e8fae2482df7b77628a",
        "alert_transition": transition,
        "alert_title": "Error rate is high",
        "event_title": "[Triggered on {host:api-1}] Error rate is high",
        "alert_status": "trace.http.errors over host:api-1 was > 0.05 during the last 1m",
        "alert_metric": "trace.http.errors",
        "alert_query": "avg(last_1m):sum:trace.http.errors{*} by {host} > 0.05",
        "alert_priority": "P1",
        "alert_type": "error",
        "alert_scope": "host:api-1",
        "hostname": "api-1",
        "tags": "monitor,env:production,service:shop",
        "org_id": "11023",
        "link": "https://app.datadoghq.com/event/event?id=123456",
        "date": "1772334900000",
        **changes,
    }


def cloudwatch(state: str = "ALARM", **changes: Any) -> dict[str, Any]:
    return {
        "AlarmName": "shop 5xx",
        "AlarmDescription": "More than 5 % of requests fail",
        "AWSAccountId": "123456789012",
        "AlarmConfigurationUpdatedTimestamp": "2026-01-12T16:30:42.236+0000",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed: 1 datapoint [7.3] was greater than 5.0",
        "StateChangeTime": "2026-03-01T03:14:40.236+0000",
        "Region": "EU (Frankfurt)",
        "AlarmArn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:shop 5xx",
        "OldStateValue": "OK",
        "OKActions": [],
        "AlarmActions": [TOPIC],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Namespace": "AWS/ApplicationELB",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": None,
            "Dimensions": [{"value": "app/shop/50dc6c495c0c9188", "name": "LoadBalancer"}],
            "Period": 60,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5.0,
            "TreatMissingData": "missing",
        },
        **changes,
    }


def sns(
    kind: str = "Notification", message: dict[str, Any] | str | None = None, **changes: Any
) -> dict[str, Any]:
    """A message of SNS that nobody has signed yet."""
    inner = cloudwatch() if message is None else message
    document = {
        "Type": kind,
        "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
        "TopicArn": TOPIC,
        "Subject": 'ALARM: "shop 5xx" in EU (Frankfurt)',
        "Message": inner if isinstance(inner, str) else json.dumps(inner),
        "Timestamp": "2026-03-01T03:15:00.000Z",
        "SignatureVersion": "2",
        "Signature": "",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-a.pem",
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }
    if kind != "Notification":
        del document["Subject"], document["UnsubscribeURL"]
        document["Message"] = f"You have chosen to subscribe to the topic {TOPIC}."
        document["Token"] = "2336412f37fb687f5d51e6e2425e"
        document["SubscribeURL"] = (
            "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"
            f"&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425e"
        )
    return {**document, **changes}
