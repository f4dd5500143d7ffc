"""Servers that tests of several kinds start for themselves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from failback.lab.processes import free_port
from failback.lab.temporal import TemporalServer


@contextlib.contextmanager
def temporal_in(folder: Path) -> Iterator[TemporalServer]:
    """A Temporal dev server with its files in a folder."""
    server = TemporalServer(folder / "data", free_port(), free_port(), folder / "temporal.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()
