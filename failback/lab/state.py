"""What a lab's supervisor writes down for everybody else: its state, facts and processes."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from failback.errors import LabError
from failback.lab.accounts import write_private
from failback.lab.processes import is_same_process

StateName = Literal["starting", "running", "stopping", "stopped", "failed"]


class ProcessFacts(BaseModel):
    """One process as it was started last."""

    pid: int
    began: float
    """Seconds since the machine booted; tells the process from a later one with its number."""
    restarts: int = 0
    log: str = ""

    @property
    def lives(self) -> bool:
        """Whether this very process is there now."""
        return is_same_process(self.pid, self.began)


class LabState(BaseModel):
    """A lab as its supervisor knows it. Holds secrets."""

    state: StateName
    supervisor: ProcessFacts
    processes: dict[str, ProcessFacts] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    faults: list[str] = Field(default_factory=list)
    failure: str = ""

    @property
    def is_up(self) -> bool:
        """Whether it runs, with a supervisor that lives."""
        return self.state == "running" and self.supervisor.lives


def state_file(folder: Path) -> Path:
    """Where a lab's state is written."""
    return folder / "lab.json"


def read_state(folder: Path) -> LabState | None:
    """The state of the lab in a folder; None where there never was one.

    Raises:
        LabError: the file is damaged.
    """
    path = state_file(folder)
    try:
        return LabState.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise LabError(
            f"{path} does not describe a lab as this version of failback knows it: "
            f"{_in_short(error)}.",
            "`failback lab down` ends its supervisor, which takes the rest along; then remove "
            "the folder.",
        ) from error


def _in_short(error: OSError | ValidationError) -> str:
    """Without the file's values: there are secrets among them."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"


def write_state(folder: Path, state: LabState) -> None:
    """Write the state in one step, for the lab's owner alone."""
    write_private(state_file(folder), state.model_dump_json(indent=2) + "\n")
