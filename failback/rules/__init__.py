"""The specification's monitors and alerts as files for Prometheus, Alertmanager and Grafana."""

from failback.rules.alertmanager import alertmanager_file
from failback.rules.definitions import Definitions, define
from failback.rules.grafana import grafana_file
from failback.rules.prometheus import prometheus_file

__all__ = ["Definitions", "alertmanager_file", "define", "grafana_file", "prometheus_file"]
