"""What watches the lab's product: Prometheus, Alertmanager, and where their programs are."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from failback.lab.accounts import write_private
from failback.lab.parts import Part
from failback.models.common import Side

SCRAPE_SECONDS = 1
"""How often both products are scraped, and rules are evaluated."""
_ALERTMANAGER_NAMES = ("prometheus-alertmanager", "alertmanager")
"""Debian's name of the program, then its own."""
_ANSWER_SECONDS = 1.0


def prometheus_program() -> str | None:
    """Prometheus; None where it is not installed."""
    return shutil.which("prometheus")


def alertmanager_program() -> str | None:
    """Alertmanager; None where it is not installed."""
    return next(filter(None, map(shutil.which, _ALERTMANAGER_NAMES)), None)


def answers_well(url: str) -> bool:
    """Whether a page answers 200."""
    try:
        answer = httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


class PrometheusServer(Part):
    """One Prometheus that scrapes both products and asks its rules every second.

    Args:
        program: the absolute path.
        directory: its configuration and its samples.
        port: its own, on 127.0.0.1.
        products: the port of each side's product; `side` is a label of all of its series.
        alertmanager: `host:port` of where alerts go.
        rules: gives the text of the rule file; asked before every launch.
        log: the file for its output.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        *,
        port: int,
        products: Mapping[Side, int],
        alertmanager: str,
        rules: Callable[[], str],
        log: Path,
    ) -> None:
        super().__init__("prometheus", log)
        self.url = f"http://127.0.0.1:{port}"
        self._program = program
        self._folder = directory
        self._port = port
        self._products = dict(products)
        self._alertmanager = alertmanager
        self._rules = rules

    def prepare(self) -> None:
        """Write the configuration and the rules."""
        super().prepare()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rule_file.write_text(self._rules(), encoding="utf-8")
        self._config_file.write_text(yaml.safe_dump(self._config()), encoding="utf-8")

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (
            self._program,
            f"--config.file={self._config_file}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        )

    def is_ready(self) -> bool:
        """Whether it can be queried."""
        return answers_well(f"{self.url}/-/ready")

    @property
    def _config_file(self) -> Path:
        return self._folder / "prometheus.yml"

    @property
    def _rule_file(self) -> Path:
        return self._folder / "failback.rules.yml"

    def _config(self) -> dict[str, Any]:
        every = f"{SCRAPE_SECONDS}s"
        targets = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"side": side.value}}
            for side, port in self._products.items()
        ]
        return {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(self._rule_file)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [self._alertmanager]}]}]
            },
            "scrape_configs": [{"job_name": "product", "static_configs": targets}],
        }


class AlertmanagerServer(Part):
    """One Alertmanager that hands every alert over to failback's gateway at once.

    Args:
        program: the absolute path.
        directory: its configuration, the gateway's token and its state.
        port: its own, on 127.0.0.1.
        token: what it shows to the gateway.
        routes: gives the text of its configuration, told where the token's file is; asked before
            every launch.
        log: the file for its output.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        *,
        port: int,
        token: str,
        routes: Callable[[str], str],
        log: Path,
    ) -> None:
        super().__init__("alertmanager", log)
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self._program = program
        self._folder = directory
        self._token = token
        self._routes = routes

    def prepare(self) -> None:
        """Write the configuration and the token."""
        super().prepare()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        token_file = self._folder / "failback.token"
        write_private(token_file, self._token)
        self._config_file.write_text(self._routes(str(token_file)), encoding="utf-8")

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (
            self._program,
            f"--config.file={self._config_file}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address={self.address}",
            # Empty: no cluster. Else it waits for peers before it sends anything.
            "--cluster.listen-address=",
            "--log.level=warn",
        )

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        return answers_well(f"{self.url}/-/ready")

    @property
    def _config_file(self) -> Path:
        return self._folder / "alertmanager.yml"
