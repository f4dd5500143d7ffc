"""A real Prometheus on a past that is written for it, and where its programs are."""

import contextlib
import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from failback.lab.processes import end, free_port, spawn, tail, wait_until

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
AMTOOL = shutil.which("amtool")
MISSING = "Prometheus is not installed here (apt-get install prometheus)"
MISSING_ALERTMANAGER = "amtool is not installed here (apt-get install prometheus-alertmanager)"

_CONFIG = "global: {scrape_interval: 1s}\nscrape_configs: []\n"


def backfill(openmetrics: str, directory: Path) -> None:
    """Write samples into a store that no server has open.

    Args:
        openmetrics: text in the OpenMetrics format, with a time at every sample.
        directory: the store's folder; made where it is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    source = directory.with_suffix(".openmetrics")
    source.write_text(openmetrics, encoding="utf-8")
    done = subprocess.run(
        [PROMTOOL or "promtool", "tsdb", "create-blocks-from", "openmetrics", source, directory],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"promtool refused the samples: {done.stderr or done.stdout}")


class Prometheus:
    """One server on one store.

    Args:
        directory: where its configuration and log go; the store is its folder `data`.
        config: its configuration, YAML.
    """

    def __init__(self, directory: Path, config: str = _CONFIG) -> None:
        self.data = directory / "data"
        self.log = directory / "prometheus.log"
        self._config = directory / "prometheus.yml"
        self._config.write_text(config, encoding="utf-8")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Prometheus"]:
        """The server, ready to answer until the body ends."""
        try:
            self._start()
            yield self
        finally:
            self._end((signal.SIGTERM, 10.0))

    def crash(self) -> None:
        """Kill the server, and start another one on the same store and port."""
        self._end((signal.SIGKILL, 10.0))
        self._start()

    def _start(self) -> None:
        process = spawn(
            [
                PROMETHEUS or "prometheus",
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self.data}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            log=self.log,
        )
        self._process = process
        ready = wait_until(lambda: process.poll() is not None or self._ready(), 30)
        if not ready or process.poll() is not None:
            raise RuntimeError(f"Prometheus does not run: {tail(self.log)}")

    def _end(self, *signals: tuple[signal.Signals, float]) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process, *signals)

    def query(self, promql: str, at: float) -> list[tuple[dict[str, str], float]]:
        """Every series' labels and value at one moment."""
        words = urllib.parse.urlencode({"query": promql, "time": at})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}", timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
