"""A lab for each test: what a test breaks must not be another's ground."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.lab_run import Answer, LabRun, command, command_here


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabRun]:
    """A lab that is up, without a worker."""
    with _lab_in(tmp_path) as run:
        yield run


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRun]:
    """One lab for a module whose tests change nothing, or take back what they change."""
    with _lab_in(tmp_path_factory.mktemp("shared"), command_here) as run:
        yield run


@contextmanager
def _lab_in(folder: Path, call: Callable[..., Answer] = command) -> Iterator[LabRun]:
    folder.chmod(0o755)
    answer = command(
        "lab", "up", "--dir", str(folder / "lab"), "--no-system", "--json", seconds=150
    )
    assert answer.code == 0, answer
    run = LabRun(folder=folder, facts=answer.facts, call=call)
    try:
        yield run
    finally:
        run.close()
