"""`failback lab down` where the lab's own record is wrong: it never says down while things run."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.lab_run import Answer, command

pytestmark = pytest.mark.servers


def failback(*words: str) -> Answer:
    return command("lab", *words, seconds=150)


def living(folder: Path) -> list[str]:
    """Processes that have the lab's folder among their arguments."""
    return [
        line
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(folder) in (line := " ".join(process.info["cmdline"] or ()))
    ]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o755)
    folder = tmp_path / "lab"
    up = failback("up", "--dir", str(folder))
    assert up.code == 0, up
    try:
        yield folder
    finally:
        failback("down", "--dir", str(folder))
        assert living(folder) == []


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "lab.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    change(state)
    path.write_text(json.dumps(state), encoding="utf-8")


def test_down_when_recorded_starts_are_wrong_then_the_supervisor_is_found_by_its_lock(
    lab: Path,
) -> None:
    def shifted(state: dict[str, Any]) -> None:
        for process in (state["supervisor"], *state["processes"].values()):
            process["began"] -= 5

    rewritten(lab, shifted)
    again = failback("up", "--dir", str(lab))
    assert again.code == 1
    assert "A supervisor" in again.errors
    assert "failback lab down" in again.errors
    assert living(lab)

    down = failback("down", "--dir", str(lab))

    assert down.code == 0, down
    assert living(lab) == []


def test_down_when_the_format_is_not_known_then_the_supervisor_ends_all_the_same(
    lab: Path,
) -> None:
    secret = json.loads((lab / "spec.json").read_text(encoding="utf-8"))["secrets"]["jwt_secret"]
    rewritten(lab, lambda state: state.update(state=f"hibernating {secret}"))

    status = failback("status", "--dir", str(lab))
    assert status.code == 1
    assert "failback lab down" in status.errors
    assert secret not in status.errors

    # At its end the supervisor writes a record that this version reads.
    down = failback("down", "--dir", str(lab))
    assert down.code == 0, down
    assert living(lab) == []


def test_down_when_the_format_is_not_known_and_nobody_supervises_then_it_does_not_say_down(
    tmp_path: Path,
) -> None:
    (tmp_path / "lab.json").write_text('{"state": "hibernating"}', encoding="utf-8")

    down = failback("down", "--dir", str(tmp_path), "--purge")

    assert down.code == 1
    assert "is down" not in down.output
    assert (tmp_path / "lab.json").exists()


def test_down_when_the_supervisor_is_not_known_then_it_says_so_and_purges_nothing(
    lab: Path,
) -> None:
    lock = lab / "supervisor.lock"
    pid = lock.read_text(encoding="utf-8")
    lock.write_text("", encoding="utf-8")

    down = failback("down", "--dir", str(lab), "--purge")

    assert down.code == 1
    assert "fuser" in down.errors
    assert "is down" not in down.output
    assert living(lab)
    lock.write_text(pid, encoding="utf-8")
