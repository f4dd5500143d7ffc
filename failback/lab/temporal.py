"""The Temporal dev server of the lab: the real CLI's, with its UI and a database file."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from failback.lab.binaries import temporal_program
from failback.lab.parts import Part
from failback.lab.processes import answers

_SEARCH_ATTRIBUTES = {
    "FailbackEstate": "Keyword",
    "FailbackLevel": "Int",
    "FailbackPhase": "Keyword",
    "FailbackVerdict": "Keyword",
}
_DYNAMIC = {
    # The default polls 20 times a second, which would cost every activity 50 ms.
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
}
_PRAGMAS = ("journal_mode=wal", "synchronous=1")
_HEALTH_SECONDS = 5.0


class TemporalServer(Part):
    """One dev server. Killed and launched again, it goes on with its histories.

    Args:
        directory: where its database file lies.
        port: its gRPC port on 127.0.0.1.
        ui_port: its UI's port there.
        log: the file for its output.
    """

    def __init__(self, directory: Path, port: int, ui_port: int, log: Path) -> None:
        super().__init__("temporal", log)
        self.address = f"127.0.0.1:{port}"
        self.ui_url = f"http://127.0.0.1:{ui_port}"
        self._folder = directory
        self._port = port
        self._ui_port = ui_port

    def prepare(self) -> None:
        """Make the folder of the database file."""
        super().prepare()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        attributes = [f"{name}={kind}" for name, kind in _SEARCH_ATTRIBUTES.items()]
        dynamic = [f"{name}={value}" for name, value in _DYNAMIC.items()]
        return [
            *(temporal_program(), "server", "start-dev", "--ip", "127.0.0.1"),
            *("--port", str(self._port), "--ui-port", str(self._ui_port)),
            *("--db-filename", str(self._folder / "temporal.db"), "--ui-disable-news-fetch"),
            *(word for text in attributes for word in ("--search-attribute", text)),
            *(word for text in dynamic for word in ("--dynamic-config-value", text)),
            *(word for text in _PRAGMAS for word in ("--sqlite-pragma", text)),
        ]

    def environment(self) -> Mapping[str, str]:
        """A home of its own: the CLI reads profiles from there."""
        return {**super().environment(), "HOME": str(self._folder)}

    def is_ready(self) -> bool:
        """Whether the frontend serves; listening alone comes earlier."""
        if not (answers(self._port) and answers(self._ui_port)):
            return False
        try:
            health = subprocess.run(
                [temporal_program(), "operator", "cluster", "health", "--address", self.address],
                env=dict(self.environment()),
                capture_output=True,
                timeout=_HEALTH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return b"SERVING" in health.stdout
