"""The sections of the lab's `failback.yaml` about what watches it, decides, and tells people."""

from collections.abc import Mapping
from typing import Any

from failback.decision.matrix import DEFAULT_RULES
from failback.decision.queries import default_queries
from failback.lab import inbox
from failback.lab.detection import SCRAPE_SECONDS

HEADER = """\
# Shortened, so that a breach leads to a rollback within seconds and not minutes, as a lab wants it:
# the windows of metrics.queries (10 s for 1 minute, 30 s for 5 minutes) and the times of
# decision.rules. Thresholds are the specification's. Leave both out on an estate of your own.
# Left out altogether: resource_utilisation, because nothing of the lab exports node_*; and
# unusual_pattern, because a lab has no past that it could differ from.
"""
_SELECTOR = 'side="target"'
"""The live side of the migration."""
_WINDOWS = {"[1m]": "[10s]", "[5m]": "[30s]"}
_SUSTAINED = {
    "error_rate_critical": 3,
    "response_time_critical": 6,
    "auth_failure_critical": 4,
    "components_down": 5,
    "response_time_warning": 30,
    "error_rate_warning": 20,
    "response_time_investigate": 60,
    "error_rate_investigate": 40,
}
_WITHOUT = ("resource_utilisation", "unusual_pattern")


def alerting_sections(alerting: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Sections by name, for a lab that has a gateway and an inbox.

    Args:
        alerting: that part of the lab's facts; `prometheus_url` only where there is one.
        secrets: the lab's secrets by name.
    """
    sections = {
        "gateway": _gateway(alerting, secrets),
        "decision": _decision(alerting["mode"]),
        "notifications": _notifications(alerting, secrets),
    }
    if "prometheus_url" in alerting:
        sections["metrics"] = _metrics(alerting["prometheus_url"])
    return sections


def _metrics(url: str) -> dict[str, Any]:
    return {
        "prometheus_url": url,
        "scrape_interval_seconds": SCRAPE_SECONDS,
        "selector": _SELECTOR,
        "queries": {
            name: {"promql": _shortened(query.promql), "freshness": query.freshness}
            for name, query in default_queries(_SELECTOR).items()
            if name not in _WITHOUT
        },
    }


def _shortened(promql: str) -> str:
    for window, shorter in _WINDOWS.items():
        promql = promql.replace(window, shorter)
    return promql


def _decision(mode: str) -> dict[str, Any]:
    changed = {name: {"sustained_seconds": seconds} for name, seconds in _SUSTAINED.items()}
    return {
        "mode": mode,
        "rules": {
            rule.name: {"enabled": False} if rule.name in _WITHOUT else changed[rule.name]
            for rule in DEFAULT_RULES
            if rule.name in {*_WITHOUT, *changed}
        },
        "evaluate_seconds": 5,
        # The servers of a whole estate share this machine's processors.
        "evidence_deadline_seconds": 2,
        "cool_down_seconds": 60,
    }


def _gateway(alerting: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    url = str(alerting["gateway_url"])
    holders = {"alice": "approver", "bob": "operator", "dashboard": "viewer"}
    return {
        "address": url.removeprefix("http://"),
        "public_url": url,
        "webhooks": {"alertmanager": {"tokens": [secrets["alertmanager_token"]]}},
        "tokens": [
            {"name": name, "role": role, "token": secrets[f"{role}_token"]}
            for name, role in holders.items()
        ],
    }


def _notifications(alerting: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Every kind of channel, all of them to the lab's own inbox."""
    url, key = alerting["inbox_url"], secrets["inbox_key"]
    host, _, port = str(alerting["mail_address"]).rpartition(":")
    mail = {"host": host, "port": int(port), "tls": "none", "sender": "failback@lab.test"}
    return {
        "operators": {"kind": "log"},
        "oncall": {
            "kind": "pagerduty",
            "audiences": ["on_call_engineer"],
            "pagerduty": {"routing_key": key, "url": url + inbox.PAGERDUTY_PATH},
        },
        "engineering": {
            "kind": "slack",
            "audiences": ["engineering_lead", "engineering_team", "data_team", "product_team"],
            "slack": {"webhook_url": url + inbox.SLACK_PATH},
        },
        "executives": {
            "kind": "email",
            "audiences": ["executives"],
            "email": {**mail, "recipients": ["board@lab.test"]},
        },
        "alice": {
            "kind": "email",
            "audiences": ["engineering_lead"],
            "person": "alice",
            "email": {**mail, "recipients": ["alice@lab.test"]},
        },
        "public": {
            "kind": "statuspage",
            "audiences": ["status_page"],
            "statuspage": {
                "page": inbox.PAGE,
                "api_key": key,
                "api_url": url + inbox.STATUSPAGE_PATH,
            },
        },
        "customers": {
            "kind": "webhook",
            "audiences": ["customers"],
            "url": url + inbox.CUSTOMERS_PATH,
            "secret": key,
        },
    }
