"""The lab's functions as Deno's own tools see them, and a lab that runs none."""

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from failback.errors import LabError
from failback.lab.breaking import Fault, Faults
from failback.lab.estate import LabEstate
from failback.lab.runtimes import FAULTS, deno_program
from failback.lab.spec import PORTS, LabSpec, new_secrets
from failback.models.common import Side

CODE = Path(str(files("failback.lab").joinpath("deno")))


@pytest.mark.parametrize(
    "command",
    [("check",), ("lint",), ("fmt", "--check", "--line-width", "100")],
    ids=lambda c: c[0],
)
def test_code_then_deno_finds_nothing_wrong_with_it(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    sources = [str(path) for path in sorted(CODE.rglob("*.ts"))]
    assert len(sources) == 7
    done = subprocess.run(
        [str(deno_program()), *command, *sources],
        env={**os.environ, "DENO_DIR": str(tmp_path), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_of_functions_then_no_product_is_told_again_of_it(name: str) -> None:
    faults = Faults()
    faults.add(Fault(name, Side.SOURCE))
    assert faults.of_product(Side.SOURCE) == []
    assert faults.down() == frozenset()


def test_lab_without_runtimes_then_says_how_to_have_them(tmp_path: Path) -> None:
    ports = dict.fromkeys(PORTS, 1)
    spec = LabSpec(name="bare", dns="builtin", ports=ports, secrets=new_secrets())
    with pytest.raises(LabError, match="failback lab up --system"):
        LabEstate(tmp_path, spec).runtime(Side.SOURCE)
