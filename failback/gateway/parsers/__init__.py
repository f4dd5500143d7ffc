"""What each sender's body says, as alerts of one form: one module each, all pure."""

from failback.gateway.parsers.alertmanager import read_alertmanager
from failback.gateway.parsers.cloudwatch import read_cloudwatch
from failback.gateway.parsers.datadog import read_datadog
from failback.gateway.parsers.generic import GenericParser
from failback.gateway.parsers.grafana import read_grafana
from failback.gateway.parsers.pagerduty import read_pagerduty
from failback.gateway.parsers.reading import Parser, Reading

__all__ = [
    "GenericParser",
    "Parser",
    "Reading",
    "read_alertmanager",
    "read_cloudwatch",
    "read_datadog",
    "read_grafana",
    "read_pagerduty",
]
