"""What a refused command must have left as it was: catalogues, rows, routing, names."""

import socket
from typing import Any, LiteralString

import dns.message
import dns.query
import dns.rdatatype
import psycopg
from psycopg import sql

from failback.models.common import Side

from support.lab_run import LabRun

CATALOGUE: dict[str, LiteralString] = {
    "relations": (
        "SELECT relnamespace::regnamespace::text, relname::text, relkind::text, relreplident::text,"
        " relowner::regrole::text, relacl::text FROM pg_class"
        " WHERE relnamespace::regnamespace::text NOT LIKE 'pg_%'"
    ),
    "columns": (
        "SELECT attrelid::regclass::text, attname::text, atttypid::regtype::text FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace::regnamespace::text NOT LIKE 'pg_%' AND attnum > 0"
        " AND NOT attisdropped"
    ),
    "triggers": (
        "SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger"
        " WHERE NOT tgisinternal"
    ),
    "functions": (
        "SELECT pronamespace::regnamespace::text, proname::text, md5(prosrc) FROM pg_proc"
        " WHERE pronamespace::regnamespace::text NOT LIKE 'pg_%'"
    ),
    "schemas": "SELECT nspname::text, nspacl::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'",
    "publications": "SELECT pubname::text FROM pg_publication",
    "published": (
        "SELECT pubname::text, schemaname::text, tablename::text FROM pg_publication_tables"
    ),
    "slots": "SELECT slot_name::text, plugin::text, database::text FROM pg_replication_slots",
    "roles": "SELECT rolname::text, rolreplication, rolsuper, rolcanlogin FROM pg_roles",
    "event triggers": "SELECT evtname::text, evtenabled::text FROM pg_event_trigger",
}
TABLES = (
    "SELECT relnamespace::regnamespace::text, relname::text FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'auth', 'failback')"
)
SEQUENCES = "SELECT schemaname::text, sequencename::text, last_value FROM pg_sequences"


def database(connection: "psycopg.Connection[Any]") -> dict[str, Any]:
    """One database: its catalogue, its sequences, and how many rows each table has."""
    seen: dict[str, Any] = {
        name: sorted(map(repr, connection.execute(query))) for name, query in CATALOGUE.items()
    }
    seen["sequences"] = sorted(map(repr, connection.execute(SEQUENCES)))
    seen["rows"] = {}
    for schema, table in connection.execute(TABLES).fetchall():
        counted = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        ).fetchone()
        seen["rows"][f"{schema}.{table}"] = counted
    return seen


def balancer(lab: LabRun, command: str) -> str:
    """What HAProxy answers to a command of its runtime API."""
    address = lab.facts["balancer"]["runtime_api"].removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(address)
        connection.sendall(f"{command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    return answer.decode()


def weights(lab: LabRun) -> dict[str, str]:
    """Weights by backend and server."""
    rows = [line.split() for line in balancer(lab, "show servers state").splitlines()]
    return {f"{row[1]}/{row[3]}": row[7] for row in rows if len(row) > 8 and row[0] != "#"}


def name(lab: LabRun, host: str) -> str:
    """Where a name of the product points to."""
    address, _, port = lab.facts["dns"]["address"].rpartition(":")
    query = dns.message.make_query(host, dns.rdatatype.CNAME)
    return str(dns.query.udp(query, address, port=int(port), timeout=5).answer)


def snapshot(lab: LabRun) -> dict[str, Any]:
    """The whole estate."""
    zone = lab.facts["dns"]["zone"]
    seen: dict[str, Any] = {
        "weights": weights(lab),
        "doors": balancer(lab, f"show map {lab.facts['balancer']['doors_map']}"),
        "names": [name(lab, f"{host}.{zone}") for host in ("api", "auth")],
    }
    for side in Side:
        with lab.admin(side.value) as connection:
            seen[side.value] = database(connection)
    return seen


def differences(before: dict[str, Any], after: dict[str, Any], where: str = "") -> list[str]:
    """What is gone and what is new, entry by entry; empty where nothing changed."""
    found: list[str] = []
    for key in before.keys() | after.keys():
        old, new, place = before.get(key), after.get(key), f"{where}/{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, place)
        elif isinstance(old, list) and isinstance(new, list):
            found += [f"{place}: - {entry}" for entry in old if entry not in new]
            found += [f"{place}: + {entry}" for entry in new if entry not in old]
        elif old != new:
            found.append(f"{place}: {old} became {new}")
    return sorted(found)
