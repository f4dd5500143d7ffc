"""Starts workers that are killed once, at one activity."""

import os
import subprocess
import sys
from pathlib import Path

from .lab_run import LabRun

_TESTS = Path(__file__).resolve().parents[1]


def killed_worker(lab: LabRun, activity: str, when: str, mark: Path) -> "subprocess.Popen[bytes]":
    """A worker of the lab's estate that ends as `kill -9` ends it, unless one did so before.

    Args:
        lab: whose worker.
        activity: the name of the activity.
        when: `before` or `after` its effect.
        mark: a file that is made with the kill.
    """
    with (lab.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.killed_worker"],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(
                    filter(None, [str(_TESTS), os.environ.get("PYTHONPATH")])
                ),
                "CONFIG": lab.facts["config"],
                "ACTIVITY": activity,
                "WHEN": when,
                "MARK": str(mark),
            },
        )
    lab.processes.append(process)
    return process
