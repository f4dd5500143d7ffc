import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import yaml

from failback.config import load
from failback.lab import control
from failback.lab.processes import answers, wait_until
from failback.models.common import Service, Side

from support.auth import new_key

pytestmark = pytest.mark.servers
FAILBACK = Path(sys.executable).parent / "failback"
AUTH_ITEMS = ("source_answers", "target_answers", "tokens", "sessions", "users")
PARTS = (
    "source-database",
    "target-database",
    "source-product",
    "target-product",
    "temporal",
    "balancer",
    "dns",
)
SYSTEM_PARTS = (
    "source-objects",
    "target-objects",
    "source-functions",
    "target-functions",
    "management",
    "standby-database",
)


def failback(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FAILBACK, *arguments], capture_output=True, text=True, timeout=150, check=False
    )


def facts(folder: Path) -> dict[str, Any]:
    return control.facts(control.state_of(folder))


def pids(known: dict[str, Any]) -> set[int]:
    return {process["pid"] for process in known["processes"].values()}


def left_over(folder: Path, known: set[int]) -> list[str]:
    """Processes of a lab, by their recorded numbers or by its folder in their arguments."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if process.info["pid"] in known or str(folder) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab in a folder that the servers' own user may not enter when we are root."""
    folder = tmp_path_factory.mktemp("estate") / "lab"
    up = failback("lab", "up", "--dir", folder, "--json")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield folder
    finally:
        known = pids(facts(folder))
        down = failback("lab", "down", "--dir", folder, "--purge")
        assert down.returncode == 0, down.stdout + down.stderr
        assert left_over(folder, known) == []
        assert not folder.exists()


def test_status_when_up_names_every_endpoint_and_process(lab: Path) -> None:
    status = failback("lab", "status", "--dir", lab, "--json")
    assert status.returncode == 0, status.stderr
    known = json.loads(status.stdout)
    assert known == facts(lab)
    assert known["state"] == "running"
    assert {*PARTS, *SYSTEM_PARTS, "supervisor"} == set(known["processes"])
    assert all(process["running"] for process in known["processes"].values())
    for dsn in (
        *(known[side.value][name] for side in Side for name in ("dsn", "admin_dsn", "product_dsn")),
        known["balancer"]["database_dsn"],
    ):
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM public.lab_writes").fetchone()
    assert httpx.get(f"{known['balancer']['api_url']}/health", trust_env=False).status_code == 200
    assert httpx.get(known["temporal"]["ui_url"], trust_env=False).status_code == 200


def test_sessions_when_the_target_signs_with_its_own_key_hold_once_that_was_imported(
    lab: Path, tmp_path: Path
) -> None:
    config, key = lab / "failback.yaml", new_key()

    def status() -> tuple[int, dict[str, str]]:
        asked = failback("auth", "status", "--config", config, "--json")
        items = json.loads(asked.stdout)["items"]
        return asked.returncode, {item["name"]: item["outcome"] for item in items}

    assert status() == (0, dict.fromkeys(AUTH_ITEMS, "succeeded"))
    file = lab / "auth" / "target-keys.json"
    file.parent.mkdir(exist_ok=True)
    private, own = tmp_path / "private.json", tmp_path / "failback.yaml"
    private.write_text(json.dumps(key))
    file.write_text(json.dumps({"keys": [{**key, "status": "in_use"}]}))
    try:
        code, outcomes = status()
        assert (code, outcomes["tokens"], outcomes["sessions"]) == (1, "failed", "failed")
        named = yaml.safe_load(config.read_text())
        named["auth"]["signing_key"] = str(private)
        own.write_text(yaml.safe_dump(named))
        prepared = failback("auth", "prepare", "--config", own, "--json")
        assert prepared.returncode == 0, prepared.stdout + prepared.stderr
        items = json.loads(prepared.stdout)["items"]
        assert [item["name"] for item in items if item["changed"]] == ["signing_key"]
        assert key["d"] not in prepared.stdout
        assert status() == (0, dict.fromkeys(AUTH_ITEMS, "succeeded"))
    finally:
        file.unlink()


def test_config_when_up_loads_whole_and_is_private(lab: Path) -> None:
    known = facts(lab)
    path = Path(known["config"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    estate = load(path)
    assert estate.source.dsn.get_secret_value() == known["source"]["dsn"]
    assert set(estate.traffic.routes) == set(Service)
    assert estate.checks is not None
    assert estate.checks.api_url == known["balancer"]["api_url"]
    assert estate.plan(2).approval.quorum == 1


def test_processes_when_up_run_unprivileged_where_they_want_that(lab: Path) -> None:
    known = facts(lab)["processes"]
    for part in ("source-database", "target-database", "balancer"):
        assert psutil.Process(known[part]["pid"]).uids().real != 0


def test_up_when_up_already_says_so_and_changes_nothing(lab: Path) -> None:
    before = pids(facts(lab))
    again = failback("lab", "up", "--dir", lab)
    assert again.returncode == 0
    assert "up already" in again.stderr
    assert pids(facts(lab)) == before


@pytest.mark.parametrize("part", PARTS)
def test_part_when_killed_is_started_again_where_it_was(lab: Path, part: str) -> None:
    before = facts(lab)
    os.kill(before["processes"][part]["pid"], signal.SIGKILL)

    def back() -> bool:
        now = facts(lab)
        process = now["processes"].get(part)
        return (
            process is not None
            and process["running"]
            and process["pid"] != before["processes"][part]["pid"]
        )

    assert wait_until(back, 20, every=0.1)
    now = facts(lab)
    assert now["processes"][part]["restarts"] >= 1
    endpoints = ("source", "target", "balancer", "temporal", "dns")
    assert {name: now[name] for name in endpoints} == {name: before[name] for name in endpoints}
    assert wait_until(lambda: _serves(now), 30, every=0.1)


def _serves(known: dict[str, Any]) -> bool:
    """Whether customers get answers, and Temporal and the name server are there."""
    ports = [int(known[part]["address"].rsplit(":")[-1]) for part in ("temporal", "dns")]
    try:
        psycopg.connect(known["balancer"]["database_dsn"], connect_timeout=2).close()
        psycopg.connect(known["source"]["dsn"], connect_timeout=2).close()
        urls = (known["balancer"]["api_url"], known["source"]["product_url"])
        health = [httpx.get(f"{url}/health", trust_env=False).status_code for url in urls]
    except (httpx.HTTPError, psycopg.Error):
        return False
    return health == [200, 200] and all(answers(port) for port in ports)


@pytest.mark.parametrize(
    ("fault", "gone"),
    [
        ("target-down", {"target-product", "target-database"}),
        ("source-down", {"source-database"}),
        ("temporal-down", {"temporal"}),
        ("balancer-down", {"balancer"}),
    ],
)
def test_break_when_a_part_is_to_be_down_keeps_it_down_until_healed(
    lab: Path, fault: str, gone: set[str]
) -> None:
    broken = failback("lab", "break", fault, "--dir", lab, "--json")
    assert broken.returncode == 0, broken.stdout + broken.stderr
    assert json.loads(broken.stdout) == {"faults": [fault]}
    known = facts(lab)
    assert known["faults"] == [fault]
    assert set(PARTS) - set(known["processes"]) == gone
    healed = failback("lab", "heal", fault, "--dir", lab)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    known = facts(lab)
    assert known["faults"] == []
    assert set(PARTS) <= set(known["processes"])
    assert _serves(known)


def test_break_when_a_product_is_to_fail_does_so_also_after_a_restart(lab: Path) -> None:
    assert failback("lab", "break", "errors", "--share", "1", "--dir", lab).returncode == 0
    known = facts(lab)
    url = f"{known['target']['product_url']}/rest/v1/documents?select=id&limit=1"
    headers = {"apikey": known["product"]["service_key"]}

    def fails() -> bool:
        try:
            return httpx.get(url, headers=headers, trust_env=False).status_code == 500
        except httpx.HTTPError:
            return False

    try:
        assert fails()
        os.kill(known["processes"]["target-product"]["pid"], signal.SIGKILL)
        assert wait_until(lambda: not answers(int(url.split(":")[2].split("/", maxsplit=1)[0])), 10)
        assert wait_until(fails, 20)
    finally:
        assert failback("lab", "heal", "--dir", lab).returncode == 0
    assert not fails()


def test_break_when_the_fault_is_unknown_lists_the_known_ones(lab: Path) -> None:
    broken = failback("lab", "break", "gremlins", "--dir", lab)
    assert broken.returncode == 2
    assert "gremlins" in broken.stderr
    assert "target-down" in broken.stderr
    assert "errors" in broken.stderr


def test_load_sql_when_it_is_right_puts_owned_and_writable_tables_on_both_sides(
    lab: Path, tmp_path: Path
) -> None:
    file = tmp_path / "shop.sql"
    file.write_text(
        "CREATE SCHEMA shop; CREATE TABLE public.items (id serial PRIMARY KEY, name text);"
        " INSERT INTO public.items (name) VALUES ('a'), ('b');"
        " CREATE TABLE shop.orders (id int PRIMARY KEY);"
    )
    loaded = failback("lab", "load-sql", file, "--dir", lab)
    assert loaded.returncode == 0, loaded.stderr
    known = facts(lab)
    owners = {"source": "postgres", "target": "app_owner"}
    for side, owner in owners.items():
        with psycopg.connect(known[side]["product_dsn"]) as connection:
            connection.execute("INSERT INTO public.items (name) VALUES ('c')")
            connection.execute("INSERT INTO shop.orders VALUES (1)")
            found = connection.execute(
                "SELECT tableowner, (SELECT count(*) FROM public.items)"
                " FROM pg_tables WHERE tablename = 'items'"
            ).fetchone()
            connection.rollback()
        assert found == (owner, 3)


def test_load_sql_when_it_is_wrong_changes_nothing(lab: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.sql"
    file.write_text("CREATE TABLE public.half (id int PRIMARY KEY); SELECT nonsense;")
    loaded = failback("lab", "load-sql", file, "--dir", lab)
    assert loaded.returncode == 1
    assert "nonsense" in loaded.stderr
    for side in Side:
        with psycopg.connect(facts(lab)[side.value]["dsn"]) as connection:
            assert connection.execute("SELECT to_regclass('public.half')").fetchone() == (None,)


def test_commands_when_there_is_no_lab_say_so_as_wrong_use(tmp_path: Path) -> None:
    for command in (["status"], ["down"], ["break", "errors"], ["heal"]):
        answer = failback("lab", *command, "--dir", tmp_path / "nowhere")
        assert answer.returncode == 2
        assert "no lab" in answer.stderr


def test_two_labs_when_one_loses_its_supervisor_leave_each_other_alone(
    lab: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    try:
        up = failback("lab", "up", "--dir", other, "--name", "other", "--dns", "builtin", "--json")
        assert up.returncode == 0, up.stdout + up.stderr
        known = facts(other)
        assert known["dns"]["server"] == "builtin"
        assert known["dns"]["zone"] == "other.failback.test."
        with psycopg.connect(known["target"]["product_dsn"], autocommit=True) as connection:
            connection.execute("INSERT INTO public.lab_writes (key, value) VALUES ('k', 'kept')")
        os.kill(known["processes"]["supervisor"]["pid"], signal.SIGKILL)
        assert wait_until(lambda: left_over(other, pids(known)) == [], 20, every=0.1)
        assert facts(other)["state"] == "crashed"
        assert facts(lab)["state"] == "running"

        # What a crash left behind is no obstacle, and the data are still there.
        again = failback("lab", "up", "--dir", other, "--json")
        assert again.returncode == 0, again.stdout + again.stderr
        after = json.loads(again.stdout)
        with psycopg.connect(after["target"]["product_dsn"]) as connection:
            found = connection.execute("SELECT value FROM public.lab_writes WHERE key = 'k'")
            assert found.fetchone() == ("kept",)

        os.kill(after["processes"]["supervisor"]["pid"], signal.SIGKILL)
        down = failback("lab", "down", "--dir", other, "--purge")
        assert down.returncode == 0, down.stdout + down.stderr
        assert left_over(other, pids(after)) == []
    finally:
        failback("lab", "down", "--dir", other, "--purge")


def test_up_when_a_part_fails_names_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    (folder / "temporal" / "temporal.db").mkdir(parents=True)
    folder.chmod(0o755)
    up = failback("lab", "up", "--dir", folder)
    assert up.returncode == 1
    assert "temporal ended while it started" in up.stderr
    assert left_over(folder, pids(facts(folder))) == []
    assert failback("lab", "down", "--dir", folder, "--purge").returncode == 0


def test_down_when_the_command_line_was_killed_while_starting_ends_all(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    up = subprocess.Popen(
        [FAILBACK, "lab", "up", "--dir", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until((folder / "lab.json").exists, 30)
    finally:
        up.kill()
        up.wait()
    known = pids(facts(folder))
    down = failback("lab", "down", "--dir", folder, "--purge")
    assert down.returncode == 0, down.stdout + down.stderr
    assert left_over(folder, known) == []


def test_ports_when_another_server_has_one_are_chosen_anew(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    first = json.loads(failback("lab", "up", "--dir", folder, "--json").stdout)
    try:
        assert failback("lab", "down", "--dir", folder).returncode == 0
        port = int(first["balancer"]["api_url"].rsplit(":", 1)[1])
        with socket.create_server(("127.0.0.1", port)):
            second = json.loads(failback("lab", "up", "--dir", folder, "--json").stdout)
        assert second["state"] == "running"
        assert second["balancer"]["api_url"] != first["balancer"]["api_url"]
        assert second["source"]["dsn"] == first["source"]["dsn"]
    finally:
        failback("lab", "down", "--dir", folder, "--purge")


def test_load_when_it_ran_on_the_target_is_all_there_by_the_audit(
    lab: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    options = ("--users", "5", "--rps", "40", "--seconds", "2", "--journal", journal)
    ran = failback("lab", "load", "--dir", lab, *options, "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["failed"] == 0
    assert summary["acknowledged"] > 0
    dsn = facts(lab)["target"]["dsn"]
    audit = failback("lab", "audit", "--dir", lab, "--journal", journal, "--dsn", dsn)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stdout == f"acknowledged: {summary['acknowledged']}, lost: 0, wrong: 0\n"
    # The source has none of it: nothing was armed.
    audit = failback("lab", "audit", "--dir", lab, "--journal", journal)
    assert audit.returncode == 1
