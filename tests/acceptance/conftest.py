"""A lab for each test: what a test breaks must not be another's ground."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab_run import LabRun, command


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabRun]:
    """A lab that is up, without a worker."""
    tmp_path.chmod(0o755)
    answer = command("lab", "up", "--dir", str(tmp_path / "lab"), "--json", seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=tmp_path, facts=answer.facts)
    try:
        yield run
    finally:
        run.close()
