"""`kill -9` of the worker before and after each effect of level 3: it ends as if not killed."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.killing import killed_worker
from support.lab_run import LabRun, command, command_here, until
from support.leading import approved
from support.returning import return_to_the_target

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EFFECTS = (
    "pause_activities",
    "prepare_auth",
    "open_session",
    "pre_sync_storage",
    "catch_up",
    "hold_requests",
    "raise_fence",
    "drain",
    "verify_data",
    "list_functions",
    "bring_function_back",
    "shift_weights",
    "sync_storage",
    "switch_configuration",
    "confirm_session",
    "lift_fence",
    "open_door",
    "point_names",
    "check_service",
    "confirm_source_live",
    "validate_system",
    "confirm_refresh",
    "close_session",
)
"""Every activity of a level 3 that goes well, in about its order."""
QUICK = {("bring_function_back", "after"), ("confirm_source_live", "before")}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRun]:
    """One lab for all kills; each rollback is taken back again."""
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o755)
    up = ("lab", "up", "--dir", str(folder / "lab"), "--no-detection", "--json")
    answer = command(*up, seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=folder, facts=answer.facts, call=command_here)
    try:
        yield run
    finally:
        run.close()


def stored(lab: LabRun) -> dict[str, Any]:
    """A user with an object and a document, written to the live side through the balancer."""
    url, key = lab.facts["balancer"]["api_url"], lab.facts["product"]["anon_key"]
    with httpx.Client(base_url=url, headers={"apikey": key}, timeout=20.0) as http:
        body = {"email": f"{uuid.uuid4().hex}@kills.test", "password": "correct horse"}
        session = http.post("/auth/v1/signup", json=body).raise_for_status().json()
        token = {"Authorization": f"Bearer {session['access_token']}"}
        path = f"/storage/v1/object/documents/{session['user']['id']}/a.txt"
        http.post(path, content=b"kept", headers=token).raise_for_status()
    return {"token": token, "path": path, "user": session["user"]["id"]}


def found(lab: LabRun, written: dict[str, Any]) -> tuple[str, bytes, str]:
    """The same user and object, as the live side has them, and which side that is."""
    url, key = lab.facts["balancer"]["api_url"], lab.facts["product"]["anon_key"]
    with httpx.Client(base_url=url, headers={"apikey": key}, timeout=20.0) as http:
        who = http.get("/auth/v1/user", headers=written["token"]).raise_for_status()
        kept = http.get(written["path"], headers=written["token"]).raise_for_status()
    return who.json()["id"], kept.content, who.headers["x-lab-side"]


def ended(lab: LabRun, mark: Path, effect: str, when: str) -> dict[str, Any]:
    """A whole level 3 whose worker is killed on the way, and replaced."""
    process = killed_worker(lab, effect, when, mark)
    lab.run("arm")
    written = stored(lab)
    rollback_id = approved(lab, 3, "drill")
    until(lambda: process.poll() is not None, f"the kill {when} {effect}")
    process = killed_worker(lab, effect, when, mark)
    lab.until_step("done", "failed")
    result = dict(lab.run("rollback", "report", rollback_id))
    assert found(lab, written) == (written["user"], b"kept", "source")
    return_to_the_target(lab)
    process.terminate()
    assert process.wait(timeout=20) == 0
    return result


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("effect", "when"),
    [
        pytest.param(
            effect,
            when,
            marks=() if (effect, when) in QUICK else (pytest.mark.long,),
        )
        for effect in EFFECTS
        for when in ("before", "after")
    ],
)
def test_worker_when_killed_at_an_effect_of_level_3_then_it_ends_as_if_not_killed(
    lab: LabRun, tmp_path: Path, effect: str, when: str
) -> None:
    result = ended(lab, tmp_path / "killed", effect, when)

    assert result["success"], result["error"]
    assert result["data_loss"]["lost_rows"] == 0
    # Requests that could not be held in time are refused by the fence, and none of them is lost.
    failed = {step["name"] for step in result["steps"] if step["outcome"] == "failed"}
    assert failed <= {"hold"}, result["steps"]
    assert (result["verification"]["outcome"], result["verification"]["exact"]) == (
        "succeeded",
        True,
    )
