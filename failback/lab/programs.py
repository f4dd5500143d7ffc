"""Our own programs as parts of the lab: the products, a worker, the gateway, the inbox."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from failback.lab.detection import answers_well
from failback.lab.inbox import HEALTH_PATH
from failback.lab.parts import Part
from failback.lab.product import environment
from failback.models.common import Side


class ProductServer(Part):
    """The Supabase-shaped product of one side.

    Args:
        side: which side it is.
        port: its port on 127.0.0.1.
        dsn: its own database, as the role that it writes as.
        files: the folder of its stored objects.
        secrets: `jwt_secret`, `anon_key` and `service_key`, the same on both sides.
        more: environment variables of the lab's further parts.
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
        more: Mapping[str, str],
        log: Path,
    ) -> None:
        super().__init__(f"{side.value}-product", log)
        self.side = side
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._dsn = dsn
        self._files = files
        self._secrets = secrets
        self._more = more

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
            **self._more,
        }

    def is_ready(self) -> bool:
        """Whether its health page answers 200."""
        return answers_well(f"{self.url}/health")


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


class GatewayProcess(Part):
    """The lab's `failback gateway`.

    Args:
        config: the lab's `failback.yaml`.
        port: its port on 127.0.0.1, as that file says.
        log: the file for its output.
    """

    def __init__(self, config: Path, port: int, log: Path) -> None:
        super().__init__("gateway", log)
        self.url = f"http://127.0.0.1:{port}"
        self._config = config

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (Path(sys.executable).parent / "failback", "gateway", "--config", self._config)

    def is_ready(self) -> bool:
        """Whether it takes alerts: Temporal has to answer for that."""
        return answers_well(f"{self.url}/readyz")


class InboxServer(Part):
    """Where the lab's notifications arrive; see `failback.lab.inbox`.

    Args:
        port: for HTTP, on 127.0.0.1.
        mail_port: for mail, there.
        file: gets a line for each thing that arrives.
        log: the file for its output.
    """

    def __init__(self, port: int, mail_port: int, file: Path, log: Path) -> None:
        super().__init__("inbox", log)
        self.url = f"http://127.0.0.1:{port}"
        self.mail_address = f"127.0.0.1:{mail_port}"
        self.file = file
        self._ports = ("--http-port", str(port), "--mail-port", str(mail_port))

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (sys.executable, "-m", "failback.lab.inbox", *self._ports, "--file", self.file)

    def is_ready(self) -> bool:
        """Whether it takes what is sent to it."""
        return answers_well(self.url + HEALTH_PATH)
