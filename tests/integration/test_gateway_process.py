"""`failback gateway` as a process: it starts without Temporal, answers, and ends when told to."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from failback.cli.entry import run
from failback.gateway.serve import _listener
from failback.gateway.tokens import hash_of
from failback.lab.processes import free_port

from support.gateway import GATEWAY, TOKENS, bearer, signed_headers, written
from support.webhook_bodies import alertmanager, grafana

pytestmark = pytest.mark.servers


def configuration(folder: Path, gateway: dict[str, Any] | None) -> Path:
    nowhere = {"dsn": "postgresql://nobody:a-planted-secret@127.0.0.1:1/none"}
    document: dict[str, Any] = {
        "estate": "gateway-process",
        "temporal": {"address": "127.0.0.1:1"},
        "source": nowhere,
        "target": nowhere,
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
            "routes": {"database": [{"backend": "database"}]},
        },
        "audit": {"file": str(folder / "audit.sqlite3")},
    }
    if gateway is not None:
        document["gateway"] = gateway
    path = folder / "failback.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A gateway whose Temporal is away, a client of it, and its log."""
    folder = tmp_path_factory.mktemp("gateway")
    port = free_port()
    config = configuration(folder, {**GATEWAY, "address": f"127.0.0.1:{port}"})
    log = folder / "log"
    with log.open("wb") as output, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        started = subprocess.Popen(_command(config), stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 30
            while not _answers(client):
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                assert started.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield client, log
            started.send_signal(signal.SIGTERM)
            assert started.wait(20) == 0, log.read_text(encoding="utf-8")
        finally:
            started.kill()
            started.wait()


def _command(config: Path) -> list[str]:
    return [str(Path(sys.executable).parent / "failback"), "gateway", "--config", str(config)]


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_process_when_temporal_is_away_then_it_lives_and_asks_senders_to_repeat(
    process: tuple[httpx.Client, Path],
) -> None:
    client, _ = process
    answer = client.post(
        "/webhooks/alertmanager", content=written(alertmanager()), headers=bearer()
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client.get("/readyz").status_code == 503
    body = written(grafana())
    # Signed at the time of the examples, long ago for a real clock.
    replayed = client.post(
        "/webhooks/grafana", content=body, headers=signed_headers("grafana", body)
    )
    assert replayed.status_code == 403


def test_process_when_a_body_never_ends_then_it_is_given_up_at_the_limit(
    process: tuple[httpx.Client, Path],
) -> None:
    client, _ = process
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    head = f"POST /webhooks/alertmanager HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
    named = "".join(f"{name}: {value}\r\n" for name, value in bearer().items())
    with socket.create_connection((host, port), timeout=20) as stream:
        stream.sendall(f"{head}{named}\r\n".encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(17):
            stream.sendall(chunk)
        assert stream.recv(100).startswith(b"HTTP/1.1 413")


def test_process_when_readiness_is_asked_for_then_it_looks_and_tells_no_secret(
    process: tuple[httpx.Client, Path],
) -> None:
    client, log = process
    headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
    answer = client.get("/api/readiness", headers=headers, timeout=60)
    assert answer.status_code == 200
    told = answer.json()
    assert told["answer"] == "no"
    assert {"temporal", "source", "target", "balancer"} <= {one["part"] for one in told["findings"]}
    assert "planted" not in answer.text
    assert "planted" not in log.read_text(encoding="utf-8")


def test_process_when_it_logs_then_each_line_is_a_fact_about_a_request(
    process: tuple[httpx.Client, Path],
) -> None:
    client, log = process
    named = {"X-Request-Id": "looked-for"}
    client.get("/api/alerts", headers={"Authorization": f"Bearer {TOKENS['viewer']}", **named})
    deadline = time.monotonic() + 10
    while "looked-for" not in log.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    (line,) = (line for line in lines if line.get("request_id") == "looked-for")
    assert (line["route"], line["status"], line["who"]) == ("/api/alerts", 200, "victor")


def test_gateway_when_its_port_is_taken_then_it_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = _command(configuration(tmp_path, {"address": address}))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot listen" in done.stderr


def test_listener_when_somebody_connects_then_small_answers_are_not_held_back() -> None:
    with _listener("127.0.0.1:0") as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_gateway_when_it_is_not_configured_then_it_says_what_to_add(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gateway", "--config", str(configuration(tmp_path, None))]) == 2
    assert "no section `gateway`" in capsys.readouterr().err


def test_token_when_one_is_made_then_its_hash_is_what_the_configuration_wants(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--json", "gateway", "--new-token"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert hash_of(made["token"]) == made["sha256"]


@pytest.mark.parametrize(
    ("gateway", "named"),
    [
        ({"address": "nowhere"}, "host:port"),
        ({"public_url": "failback.example"}, "public_url"),
        ({"webhooks": {"grafana": {}}}, "Grafana needs"),
        ({"webhooks": {"alertmanager": {"tokens": []}}}, "tokens"),
        ({"webhooks": {"pagerdut": {"secrets": ["a"]}}}, "pagerduty?"),
        ({"webhooks": {"generic": {"tokens": ["a"], "alerts": "a["}}}, "JMESPath"),
        ({"tokens": [{"name": "a", "role": "viewer"}]}, "either token or sha256"),
        ({"tokens": [{"name": "a", "role": "viewer", "token": "too-short"}]}, "shorter than 16"),
        ({"tokens": [{"name": "a", "role": "king", "sha256": "0" * 64}]}, "role"),
        ({"tokens": [{"name": "a", "role": "viewer", "sha256": "0" * 64}] * 2}, "two API tokens"),
        ({"tls_key": "/nowhere/key.pem"}, "go together"),
        ({"webhooks": {"max_age_seconds": 86_400}}, "max_age_seconds"),
    ],
)
def test_configuration_when_it_cannot_be_used_then_the_place_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gateway: dict[str, Any], named: str
) -> None:
    assert run(["gateway", "--config", str(configuration(tmp_path, gateway))]) == 2
    told = capsys.readouterr().err
    assert named in told
    assert "too-short" not in told
