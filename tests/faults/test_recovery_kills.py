"""`kill -9` of the worker before and after each effect of level 4: it ends as if not killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from failback.config import load
from failback.models.common import Side
from failback.models.recovery import RecoveryService
from failback.models.traffic import BackendRoute
from failback.providers.load_balancer import HaproxyLoadBalancer

from support.killing import killed_worker
from support.lab_run import LabRun, command, command_here, until
from support.leading import approved, led
from support.returning import shift_weights, system_back

pytestmark = [pytest.mark.servers, pytest.mark.long]

EFFECTS = (
    "assess_damage",
    "activate_standby",
    "restore_part",
    "replay_archive",
    "raise_fence",
    "archive_now",
    "rebuild_connections",
    "switch_configuration",
    "point_names",
    "verify_restored",
    "enable_service",
    "watch_service",
)
"""Every activity of a level 4 that restores the database, in about its order."""
DOORS = ("database", "source_database")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRun]:
    """One lab for all kills, with a proven backup; each recovery is taken back again."""
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o755)
    up = ("lab", "up", "--dir", str(folder / "lab"), "--no-detection", "--json")
    answer = command(*up, seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=folder, facts=answer.facts, call=command_here)
    config = Path(run.facts["config"])
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["recovery"] |= {"stability_seconds": 0.3, "look_seconds": 0.1}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        worker = run.start_worker()
        run.run("arm")
        customers = run.start_load(users=4, rps=30, seconds=60)
        run.until_acknowledged(60)
        run.run("backup", "now")
        run.run("backup", "prove")
        run.until_acknowledged(60)
        run.stop_load(customers)
        worker.terminate()
        assert worker.wait(timeout=20) == 0
        yield run
    finally:
        run.close()


def damage_undone(lab: LabRun) -> None:
    """The source is there again, and the target takes writes as before."""
    lab.lab_command("heal", "source-down")
    asyncio.run(addresses_back(lab))
    shift_weights(lab, Side.TARGET)
    asyncio.run(system_back(Path(lab.facts["config"])))
    lab.run("fence", "lift", "target")


async def addresses_back(lab: LabRun) -> None:
    """Whoever asks for the source's database reaches the one that was healed."""
    balancer = HaproxyLoadBalancer(load(Path(lab.facts["config"])).traffic.balancer)
    host, port = lab.facts["source"]["dsn"].rpartition("@")[2].partition("/")[0].split(":")
    for backend in DOORS:
        route = BackendRoute(backend=backend)
        await balancer.set_address(route, Side.SOURCE, host, int(port))
        await balancer.shut_sessions(route, Side.SOURCE)
    await balancer.aclose()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_worker_when_killed_at_an_effect_of_level_4_then_it_ends_as_if_not_killed(
    lab: LabRun, tmp_path: Path, effect: str, when: str
) -> None:
    mark = tmp_path / "killed"
    killed = killed_worker(lab, effect, when, mark)
    lab.lab_command("break", "source-down")
    rollback_id = approved(lab, 4, "drill")
    replaced = []

    def replace() -> None:
        if killed.poll() is not None and not replaced:
            replaced.append(killed_worker(lab, effect, when, mark))

    gates = led(lab, replace)
    until(lambda: bool(replace() or lab.status().get("phase") in ("done", "failed")), "its end")
    result = lab.run("rollback", "report", rollback_id)
    assert mark.exists(), f"nothing was killed {when} {effect}"
    for worker in replaced:
        worker.terminate()
        assert worker.wait(timeout=20) == 0
    dsn = lab.facts["system"]["standby"]["product_dsn"]
    verdict = lab.audit(dsn)
    damage_undone(lab)

    assert result["success"], result["error"]
    assert any("database is gone" in line for line in gates[0]["evidence"])
    assert (verdict.lost, verdict.wrong) == (0, 0)
    assert verdict.acknowledged > 100
    found = result["recovery"]
    assert found["loss_seconds"] == 0.0
    assert [one["service"] for one in found["services"]] == [one.value for one in RecoveryService]
    assert all(one["outcome"] == "succeeded" for one in found["services"])
