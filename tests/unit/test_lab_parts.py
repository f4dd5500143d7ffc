import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failback.config import load
from failback.decision.matrix import DEFAULT_RULES
from failback.errors import ConfigurationError, LabError, UnreachableError
from failback.lab import accounts
from failback.lab.accounts import Account, may_enter, private_folder, server_folder, write_private
from failback.lab.alerting import AlertingParts
from failback.lab.breaking import Fault, Faults
from failback.lab.channel import CommandServer, ask
from failback.lab.processes import (
    PortReservations,
    free_port,
    kill_recorded,
    port_is_free,
    spawn,
    started_at,
    wait_until,
)
from failback.lab.settings import write_settings
from failback.lab.spec import PORTS, LabSpec, new_secrets, read_spec, write_spec
from failback.lab.state import LabState, ProcessFacts, read_state, write_state
from failback.models.common import Service, Side
from failback.models.decision import Mode
from failback.models.messages import Audience

OURSELVES = Account(os.geteuid(), os.getegid(), "us", drops=False)
STRANGER = Account(54_321, 54_321, "stranger", drops=True)


def test_fault_when_unknown_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="target-down"):
        Fault("gremlins")


def test_faults_when_two_hold_a_part_down_keep_it_down_until_both_are_healed() -> None:
    faults = Faults()
    faults.add(Fault("target-down"))
    faults.add(Fault("source-down"))
    assert faults.down() == {"target-product", "target-database", "source-database"}
    faults.remove("target-down")
    assert faults.down() == {"source-database"}


def test_faults_when_one_is_set_again_hold_its_new_settings_alone() -> None:
    faults = Faults()
    faults.add(Fault("errors", share=0.1))
    faults.add(Fault("errors", share=0.9))
    faults.add(Fault("errors", Side.SOURCE))
    assert [fault.share for fault in faults.of_product(Side.TARGET)] == [0.9]
    assert faults.down() == frozenset()


def test_may_enter_when_a_parent_is_private_is_false_for_others(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert may_enter(inner, OURSELVES)
    assert not may_enter(inner, STRANGER)


def test_server_folder_when_the_path_is_too_long_is_a_short_one_each_time_the_same(
    tmp_path: Path,
) -> None:
    long = tmp_path / ("x" * 100)
    assert server_folder(long, OURSELVES) == long
    short = server_folder(long, OURSELVES, longest=80)
    assert len(str(short)) < 80
    assert server_folder(long, OURSELVES, longest=80) == short
    assert server_folder(tmp_path / ("y" * 100), OURSELVES, longest=80) != short


def test_private_folder_when_something_else_is_there_refuses(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(LabError, match="not a folder of ours"):
        private_folder(tmp_path / "link", OURSELVES)


def test_write_private_when_the_umask_is_wide_is_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_temporary_folders_when_their_directory_is_gone_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "open_places", lambda account: (tmp_path,))
    first, second = tmp_path / ("x" * 100), tmp_path / ("y" * 100)
    lost = accounts.prepared_folder(first, OURSELVES, longest=80)
    (first / "home").unlink()
    first.rmdir()
    kept = accounts.prepared_folder(second, OURSELVES, longest=80)
    assert not lost.exists()
    assert kept.exists()


def test_reservations_when_held_hide_ports_from_seekers_but_not_from_servers() -> None:
    reservations = PortReservations()
    try:
        port = reservations.take()
        other = PortReservations()
        assert not other._taken(port, again=False)
        with socket.create_server(("127.0.0.1", port)):
            assert not port_is_free(port)
    finally:
        reservations.release()
    assert port_is_free(port)


def test_reservations_when_the_wanted_port_is_listened_on_choose_another() -> None:
    reservations = PortReservations()
    wanted = free_port()
    try:
        with socket.create_server(("127.0.0.1", wanted)):
            assert reservations.take(wanted) != wanted
        assert reservations.take(wanted) == wanted
    finally:
        reservations.release()


def test_kill_recorded_when_the_number_belongs_to_another_process_leaves_it_alone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        began = started_at(process.pid)
        assert began is not None
        assert not kill_recorded(process.pid, began - 100)
        assert process.poll() is None
        assert kill_recorded(process.pid, began)
        assert started_at(process.pid) is None
    finally:
        process.kill()
        process.wait()


def test_spawned_server_when_its_starter_is_killed_dies_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = (
        "import sys, time, pathlib; from failback.lab.processes import spawn;"
        "p = spawn([sys.executable, '-c', 'import time; time.sleep(60)'],"
        f" log=pathlib.Path({str(tmp_path / 'log')!r}));"
        f"pathlib.Path({str(note)!r}).write_text(str(p.pid)); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", script])
    try:
        assert wait_until(lambda: note.exists() and note.read_text() != "", 20)
        # The wish to die takes effect when the launcher has become the server.
        pid = int(note.read_text())
        assert wait_until(lambda: b"launch.py" not in _command_line(pid), 20)
        assert started_at(pid) is not None
    finally:
        starter.kill()
        starter.wait()
    assert wait_until(lambda: started_at(pid) is None, 10)


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_spawned_server_when_it_writes_ends_up_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", "print('hello')"], log=log)
    assert process.wait(20) == 0
    assert log.read_text() == "hello\n"


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Path]:
    """A command server in a folder whose path is too long for a socket."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    server = CommandServer(folder)
    stop = threading.Event()

    def answer(command: dict[str, Any]) -> dict[str, Any]:
        if command["command"] == "refuse":
            raise LabError("It cannot be done.", "Do something else.")
        return {"heard": command["command"]}

    def serve() -> None:
        while not stop.is_set():
            server.serve(0.05, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield folder
    finally:
        stop.set()
        thread.join()
        server.close()


def test_channel_when_asked_answers_and_carries_refusals(channel: Path) -> None:
    assert ask(channel, {"command": "hello"}) == {"heard": "hello"}
    with pytest.raises(LabError, match="cannot be done"):
        ask(channel, {"command": "refuse"})


def test_channel_when_a_command_is_malformed_says_so_and_goes_on(channel: Path) -> None:
    with pytest.raises(LabError, match="malformed"):
        ask(channel, {"nonsense": 1})
    assert ask(channel, {"command": "hello"}) == {"heard": "hello"}


def test_channel_when_nobody_listens_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        ask(tmp_path, {"command": "hello"})


def test_spec_when_written_is_read_back_and_private(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert read_spec(path) is None
    spec = LabSpec(name="lab", dns="builtin", ports={"api": 1}, secrets=new_secrets())
    write_spec(path, spec)
    assert read_spec(path) == spec
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("{")
    with pytest.raises(LabError, match="does not describe a lab"):
        read_spec(path)


def test_state_when_its_supervisor_is_gone_is_not_up(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    gone = ProcessFacts(pid=os.getpid(), began=1.0)
    write_state(tmp_path, LabState(state="running", supervisor=gone))
    state = read_state(tmp_path)
    assert state is not None
    assert not state.is_up
    alive = ProcessFacts(pid=os.getpid(), began=started_at(os.getpid()) or 0.0)
    write_state(tmp_path, LabState(state="running", supervisor=alive))
    state = read_state(tmp_path)
    assert state is not None
    assert state.is_up


def lab_facts() -> dict[str, Any]:
    side = {"dsn": "postgresql://u:p@127.0.0.1:1/db", "programs": "/opt/pg/bin"}
    return {
        "name": "lab",
        "source": side,
        "target": side,
        "balancer": {
            "runtime_api": "unix:///x.sock",
            "doors_map": "/x.map",
            "api_url": "http://127.0.0.1:1",
            "database_dsn": side["dsn"],
        },
        "temporal": {"address": "127.0.0.1:1", "ui_url": "http://127.0.0.1:2"},
        "dns": {"address": "127.0.0.1:3", "zone": "lab.failback.test."},
    }


def test_settings_when_written_load_with_every_service_routed(tmp_path: Path) -> None:
    path = tmp_path / "failback.yaml"
    write_settings(path, lab_facts(), new_secrets())
    estate = load(path)
    assert set(estate.traffic.routes) == set(Service)
    assert [route.backend for route in estate.traffic.routes[Service.DATABASE]] == [
        "database",
        "rest",
    ]
    assert estate.dns is not None
    assert estate.dns.records[0].host(Side.SOURCE) == "source.lab.failback.test."
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_settings_when_watched_then_shorten_times_and_no_threshold(tmp_path: Path) -> None:
    path = tmp_path / "failback.yaml"
    alerting = {
        "mode": "automatic",
        "prometheus_url": "http://127.0.0.1:4",
        "gateway_url": "http://127.0.0.1:5",
        "inbox_url": "http://127.0.0.1:6",
        "mail_address": "127.0.0.1:7",
    }
    write_settings(path, {**lab_facts(), "alerting": alerting}, new_secrets())
    assert "Shortened" in path.read_text(encoding="utf-8")
    estate = load(path)
    assert estate.decision.mode is Mode.AUTOMATIC
    own = {rule.name: rule for rule in DEFAULT_RULES}
    for rule in estate.rules:
        assert rule.threshold == own[rule.name].threshold
        assert rule.sustained_seconds <= own[rule.name].sustained_seconds
    left_out = set(own) - {rule.name for rule in estate.rules}
    assert left_out == {"resource_utilisation", "unusual_pattern"}
    # What the shortened windows are made from has not got windows of another length.
    assert all(
        "[1m]" not in query.promql and "[5m]" not in query.promql
        for name, query in estate.queries.items()
        if name != "resource_utilisation"
    )
    told = {audience for one in estate.notifications.values() for audience in one.audiences}
    assert told == set(Audience)


@pytest.mark.parametrize("missing", ["prometheus", "alertmanager"])
def test_alerting_when_a_program_is_not_installed_then_detection_is_off_and_says_why(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "failback.lab.detection.shutil.which",
        lambda name: None if missing in name else f"/usr/bin/{name}",
    )
    spec = LabSpec(
        name="lab",
        dns="builtin",
        detection=True,
        ports={name: number for number, name in enumerate(PORTS, 1)},
        secrets=new_secrets(),
    )
    alerting = AlertingParts(tmp_path, spec, tmp_path / "failback.yaml")
    assert [part.name for part in alerting.parts()] == ["gateway", "inbox"]
    facts = alerting.facts()
    assert "apt-get install prometheus prometheus-alertmanager" in facts["off"]
    assert "prometheus_url" not in facts


def test_damage_when_everything_is_healed_then_it_stays_and_keeps_its_parts_down() -> None:
    faults = Faults()
    faults.add(Fault("lose-source"))
    faults.add(Fault("errors"))
    assert faults.healable(None) == ["errors"]
    assert faults.down() == {"source-database"}
    assert faults.of_product(Side.TARGET) == [Fault("errors")]
    with pytest.raises(LabError, match="lose-source is damage"):
        faults.healable("lose-source")
