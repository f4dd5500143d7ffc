"""The lab's parts between a breach and a rollback: what watches, the gateway, and the inbox."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from failback.config import load
from failback.lab.detection import (
    SCRAPE_SECONDS,
    AlertmanagerServer,
    PrometheusServer,
    alertmanager_program,
    prometheus_program,
)
from failback.lab.parts import Part
from failback.lab.programs import GatewayProcess, InboxServer
from failback.lab.spec import LabSpec
from failback.models.common import Side
from failback.rules import Definitions, alertmanager_file, define, prometheus_file

NOT_ASKED_FOR = "not asked for: `failback lab up --detection`"
NOT_INSTALLED = (
    "Prometheus or Alertmanager is not installed here"
    " (Debian: apt-get install prometheus prometheus-alertmanager)"
)


class AlertingParts:
    """Gateway and inbox, and, where they are installed, Prometheus and Alertmanager.

    Their rules and routes are what `failback rules` writes for the lab's own configuration.

    Args:
        folder: the lab's folder.
        spec: its ports and secrets.
        config: its `failback.yaml`, which is there before any of them is launched.
    """

    def __init__(self, folder: Path, spec: LabSpec, config: Path) -> None:
        ports, logs = spec.ports, folder / "logs"
        self._mode = spec.mode
        self._config = config
        self.gateway = GatewayProcess(config, ports["gateway"], logs / "gateway.log")
        self.inbox = InboxServer(
            ports["inbox"], ports["mail"], folder / "inbox.jsonl", logs / "inbox.log"
        )
        self.prometheus: PrometheusServer | None = None
        self.alertmanager: AlertmanagerServer | None = None
        prometheus, alertmanager = prometheus_program(), alertmanager_program()
        if prometheus is None or alertmanager is None:
            return
        self.alertmanager = AlertmanagerServer(
            alertmanager,
            folder / "alertmanager",
            port=ports["alertmanager"],
            token=spec.secrets["alertmanager_token"],
            routes=self._routes,
            log=logs / "alertmanager.log",
        )
        self.prometheus = PrometheusServer(
            prometheus,
            folder / "prometheus",
            port=ports["prometheus"],
            products={side: ports[f"{side.value}_product"] for side in Side},
            alertmanager=self.alertmanager.address,
            rules=lambda: prometheus_file(self._definitions()),
            log=logs / "prometheus.log",
        )

    def parts(self) -> Iterator[Part]:
        """Each of them, whoever asks before whoever is asked."""
        if self.prometheus is not None:
            yield self.prometheus
        if self.alertmanager is not None:
            yield self.alertmanager
        yield from (self.gateway, self.inbox)

    def facts(self) -> dict[str, Any]:
        """Their endpoints; where nothing watches, `off` says why."""
        facts = {
            "mode": self._mode.value,
            "gateway_url": self.gateway.url,
            "inbox_url": self.inbox.url,
            "mail_address": self.inbox.mail_address,
            "inbox_file": str(self.inbox.file),
        }
        if self.prometheus is None or self.alertmanager is None:
            return {**facts, "off": NOT_INSTALLED}
        return {
            **facts,
            "prometheus_url": self.prometheus.url,
            "alertmanager_url": self.alertmanager.url,
        }

    def _definitions(self) -> Definitions:
        estate = load(self._config)
        return define(
            estate.rules, estate.queries, estate.messages.alerts, interval_seconds=SCRAPE_SECONDS
        )

    def _routes(self, token_file: str) -> str:
        return alertmanager_file(self._definitions(), self.gateway.url, token_file)
