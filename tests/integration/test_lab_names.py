import base64
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest

from failback.lab.names import KEY_NAME, NameServer, knot_program, name_server
from failback.lab.processes import free_port, wait_until

pytestmark = pytest.mark.servers
ZONE = "lab.failback.test."
SECRET = base64.b64encode(secrets.token_bytes(32)).decode()
KEYRING = dns.tsigkeyring.from_text({KEY_NAME: ("hmac-sha256", SECRET)})
WRONG = dns.tsigkeyring.from_text({KEY_NAME: ("hmac-sha256", base64.b64encode(b"w" * 32).decode())})


@pytest.fixture(params=["knot", "builtin"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NameServer]:
    if request.param == "knot" and knot_program() is None:
        pytest.skip("Knot is not installed")
    server = name_server(
        request.param,
        tmp_path / "dns",
        port=free_port(datagram=True),
        zone=ZONE,
        secret=SECRET,
        log=tmp_path / "dns.log",
    )
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _ask(server: NameServer, name: str, kind: str = "CNAME", tcp: bool = False) -> list[str]:
    query = dns.message.make_query(name, kind)
    send = dns.query.tcp if tcp else dns.query.udp
    answer = send(query, "127.0.0.1", port=server.port, timeout=5)
    return [str(record) for records in answer.answer for record in records]


def _serial(server: NameServer) -> int:
    return int(_ask(server, ZONE, "SOA")[0].split()[2])


def _point(server: NameServer, keyring: object, host: str, tcp: bool = False) -> dns.rcode.Rcode:
    update = dns.update.UpdateMessage(ZONE, keyring=keyring, keyname=KEY_NAME)
    update.replace("api", 60, "CNAME", host)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(update, "127.0.0.1", port=server.port, timeout=5).rcode()


def test_server_when_it_starts_points_both_names_to_the_target(server: NameServer) -> None:
    for name in ("api", "auth"):
        assert _ask(server, f"{name}.{ZONE}") == [f"target.{ZONE}"]
    assert _ask(server, f"api.{ZONE}", "A", tcp=True) == [f"target.{ZONE}", "127.0.0.1"]


@pytest.mark.parametrize("tcp", [False, True])
def test_server_when_updated_with_the_key_answers_so_and_bumps_the_serial(
    server: NameServer, tcp: bool
) -> None:
    before = _serial(server)
    assert _point(server, KEYRING, f"source.{ZONE}", tcp) == dns.rcode.NOERROR
    assert _ask(server, f"api.{ZONE}") == [f"source.{ZONE}"]
    assert _ask(server, f"auth.{ZONE}") == [f"target.{ZONE}"]
    assert _serial(server) > before


def test_server_when_asked_to_add_and_delete_does_both(server: NameServer) -> None:
    update = dns.update.UpdateMessage(ZONE, keyring=KEYRING, keyname=KEY_NAME)
    update.add("more", 60, "A", "127.0.0.2")
    dns.query.udp(update, "127.0.0.1", port=server.port, timeout=5)
    assert _ask(server, f"more.{ZONE}", "A") == ["127.0.0.2"]
    update = dns.update.UpdateMessage(ZONE, keyring=KEYRING, keyname=KEY_NAME)
    update.delete("more")
    dns.query.udp(update, "127.0.0.1", port=server.port, timeout=5)
    query = dns.message.make_query(f"more.{ZONE}", "A")
    answer = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5)
    assert answer.rcode() == dns.rcode.NXDOMAIN


def test_server_when_updated_with_a_wrong_key_refuses_and_changes_nothing(
    server: NameServer,
) -> None:
    before = _serial(server)
    with pytest.raises((dns.tsig.PeerBadSignature, dns.exception.DNSException)):
        assert _point(server, WRONG, f"source.{ZONE}") == dns.rcode.NOERROR
    update = dns.update.UpdateMessage(ZONE)
    update.replace("api", 60, "CNAME", f"source.{ZONE}")
    answer = dns.query.udp(update, "127.0.0.1", port=server.port, timeout=5)
    assert answer.rcode() in {dns.rcode.REFUSED, dns.rcode.NOTAUTH}
    assert _ask(server, f"api.{ZONE}") == [f"target.{ZONE}"]
    assert _serial(server) == before


def test_server_when_killed_comes_back_with_the_updated_zone(server: NameServer) -> None:
    assert _point(server, KEYRING, f"source.{ZONE}") == dns.rcode.NOERROR
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not server.is_running(), 10)
    server.start()
    assert _ask(server, f"api.{ZONE}") == [f"source.{ZONE}"]
