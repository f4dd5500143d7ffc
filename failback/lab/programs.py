"""Our own programs as parts of the lab: the product on each side, and a worker."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from failback.lab.parts import Part
from failback.lab.product import environment
from failback.models.common import Side

_HEALTH_SECONDS = 1.0


class ProductServer(Part):
    """The Supabase-shaped product of one side.

    Args:
        side: which side it is.
        port: its port on 127.0.0.1.
        dsn: its own database, as the role that it writes as.
        files: the folder of its stored objects.
        secrets: `jwt_secret`, `anon_key` and `service_key`, the same on both sides.
        log: the file for its output.
    """

    def __init__(
        self,
        side: Side,
        *,
        port: int,
        dsn: str,
        files: Path,
        secrets: Mapping[str, str],
        log: Path,
    ) -> None:
        super().__init__(f"{side.value}-product", log)
        self.side = side
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._dsn = dsn
        self._files = files
        self._secrets = secrets

    def prepare(self) -> None:
        """Make the folder of its stored objects."""
        super().prepare()
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return [
            *(sys.executable, "-m", "failback.lab.product", "--side", self.side.value),
            *("--port", str(self._port), "--files", self._files),
        ]

    def environment(self) -> Mapping[str, str]:
        """The secrets go by the environment: arguments can be read by anybody."""
        return {
            **super().environment(),
            **environment.written({**self._secrets, "dsn": self._dsn}),
        }

    def is_ready(self) -> bool:
        """Whether its health page answers 200."""
        try:
            answer = httpx.get(f"{self.url}/health", timeout=_HEALTH_SECONDS, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK


class WorkerProcess(Part):
    """One failback worker, for demonstrations; elsewhere people start their own.

    Args:
        config: the lab's `failback.yaml`.
        log: the file for its output.
    """

    def __init__(self, config: Path, log: Path) -> None:
        super().__init__("worker", log)
        self._config = config

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (sys.executable, "-m", "workers", "--config", self._config)

    def is_ready(self) -> bool:
        """Whether it lives: it has no door to knock at, and waits for Temporal by itself."""
        return self.is_running()
