"""Level 4 on the whole lab: a dropped schema in the middle of level 3, and a deleted cluster."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from failback.config import load
from failback.models.recovery import RecoveryService

from support.killing import killed_worker
from support.lab_run import LabRun, command, command_here, until
from support.leading import approved, led, recovery

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(400)]

LOSS_SECONDS = 15.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabRun]:
    """A lab with everything that level 4 restores, without a worker."""
    tmp_path.chmod(0o755)
    folder = str(tmp_path / "lab")
    answer = command("lab", "up", "--dir", folder, "--no-detection", "--json", seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=tmp_path, facts=answer.facts, call=command_here)
    try:
        yield run
    finally:
        run.close()


def backed_up(lab: LabRun) -> str:
    """A new backup, proven; its id."""
    lab.run("backup", "now")
    return str(lab.run("backup", "prove")["backup"])


def archived(lab: LabRun) -> None:
    """Wait until the archive has grown, so that it and not the backup has the newest rows."""
    before = lab.run("archive", "status")["segments"]
    until(lambda: lab.run("archive", "status")["segments"] > before, "another segment")


def judged(lab: LabRun) -> None:
    """Every acknowledged write is in the database that was restored beside."""
    dsn = lab.facts["system"]["standby"]["product_dsn"]
    verdict = lab.audit(dsn)
    assert verdict.acknowledged > 100
    assert (verdict.lost, verdict.wrong) == (0, 0)


def stability_seconds(lab: LabRun) -> float:
    """How long a service of this lab has to be stable before the next returns."""
    config = load(Path(lab.facts["config"])).recovery
    assert config is not None
    return config.stability_seconds


def returned_in_order(found: dict[str, Any], stability_seconds: float) -> None:
    """Six services, each enabled once the one before had been stable for long enough."""
    services = found["services"]
    assert [one["service"] for one in services] == [one.value for one in RecoveryService]
    moments = [
        datetime.fromisoformat(one[name])
        for one in services
        for name in ("enabled_at", "stable_at")
    ]
    assert moments == sorted(moments)
    for enabled, stable in zip(moments[::2], moments[1::2], strict=True):
        assert (stable - enabled).total_seconds() >= stability_seconds


def test_source_when_its_cluster_is_deleted_then_people_bring_it_back_from_a_proven_backup(
    lab: LabRun,
) -> None:
    lab.start_worker()
    lab.run("arm")
    customers = lab.start_load(users=8, rps=40, seconds=300, objects=True)
    lab.until_acknowledged(60)
    second = backed_up(lab)
    lab.until_acknowledged(30)
    newest = backed_up(lab)
    archived(lab)
    lab.lab_command("break", "unreadable-backup")
    lab.lab_command("break", "lose-source")
    lab.until_acknowledged(30)
    rollback_id = approved(lab, 4, "the source is gone")
    first, *_ = led(lab)
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the recovery")
    lab.until_acknowledged(30)
    lab.stop_load(customers)

    assert any("database is gone" in line for line in first["evidence"])
    assert any(newest in line and "passed over" in line for line in first["evidence"])
    result = lab.run("rollback", "report", rollback_id)
    assert result["success"], result["error"]
    found = result["recovery"]
    assert found["assessment"]["choice"]["backup"] == second
    assert found["loss_seconds"] <= LOSS_SECONDS
    returned_in_order(found, stability_seconds(lab))
    judged(lab)


def test_level_3_when_the_sources_auth_schema_is_dropped_in_the_middle_then_it_is_restored(
    lab: LabRun, tmp_path: Path
) -> None:
    # The worker dies between copying ahead and the write gap; the schema goes meanwhile.
    worker = killed_worker(lab, "hold_requests", "before", tmp_path / "killed")
    lab.run("arm")
    customers = lab.start_load(users=8, rps=40, seconds=300, objects=True)
    lab.until_acknowledged(60)
    backed_up(lab)
    archived(lab)
    rollback_id = approved(lab, 3, "logins break")
    until(lambda: worker.poll() is not None, "the worker's end")
    lab.lab_command("break", "drop-auth")
    lab.start_worker()
    gates = led(lab)
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    lab.until_acknowledged(30)
    lab.stop_load(customers)

    assert any("auth is" in line for line in gates[0]["evidence"])
    result = lab.run("rollback", "report", rollback_id, code=1)
    assert result["emergency_action"] == "DISASTER_RECOVERY_INITIATED"
    (child,) = [one for one in result["children"] if one["level"] == 4]
    assert child["success"], child["error"]
    assert child["recovery"]["loss_seconds"] <= LOSS_SECONDS
    assert result["data_loss"]["lost_rows"] == 0
    assert recovery(lab)["services"]
    judged(lab)
