"""Prepares the estate of docker-compose.yml: databases, configuration files, failback.yaml.

It fills in the lab's own templates and SQL, so that containers and lab are the same estate. It
may run again at any time: secrets are made once, and a database that exists is left alone.
"""

import argparse
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from psycopg import conninfo

from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    create_database,
    database_exists,
    prepare_roles,
)
from failback.lab.haproxy import HELD_SECONDS
from failback.lab.names import KEY_NAME, NAMES
from failback.lab.product import schema
from failback.lab.product.environment import VARIABLES
from failback.lab.settings import write_settings
from failback.lab.spec import DATABASE, LabSpec, new_secrets, read_spec, write_spec
from failback.lab.templating import filled
from failback.models.common import Service, Side

NAME = "compose"
PORTS = {
    "source_database": 5416,
    "target_database": 5418,
    "source_product": 8001,
    "target_product": 8002,
    "temporal": 7233,
    "temporal_ui": 8233,
    "api": 8000,
    "database": 5432,
    "dns": 5300,
}
"""All in one network namespace, as on one machine."""


class Server:
    """A Postgres that runs already, with what the lab's set-up asks of its own servers.

    Args:
        admin_dsn: a superuser's connection string.
    """

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn

    def admin_dsn(self, database: str = "postgres") -> str:
        """The superuser's connection string to a database."""
        return conninfo.make_conninfo(self._admin_dsn, dbname=database)


def prepare(folder: Path, admin_dsns: Mapping[Side, str]) -> None:
    """Make everything that the containers read and the databases that they use.

    Args:
        folder: shared by the containers.
        admin_dsns: a superuser's connection string by side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec_path = folder / "spec.json"
    spec = read_spec(spec_path)
    if spec is None:
        spec = LabSpec(name=NAME, dns="knot", ports=PORTS, secrets=new_secrets())
        write_spec(spec_path, spec)
    for side, dsn in admin_dsns.items():
        _prepare_database(Server(dsn), side, spec)
    _prepare_balancer(folder / "balancer", spec)
    _prepare_names(folder / "dns", spec)
    (folder / "product.env").write_text(
        "".join(f"{VARIABLES[name]}={spec.secrets[name]}\n" for name in _PRODUCT_SECRETS)
        + "".join(f"{side.value.upper()}_DSN='{_product_dsn(spec, side)}'\n" for side in Side),
        encoding="utf-8",
    )
    for side in Side:
        (folder / "files" / side.value).mkdir(parents=True, exist_ok=True)
    write_settings(folder / "failback.yaml", _facts(folder, spec), spec.secrets)


_PRODUCT_SECRETS = ("jwt_secret", "anon_key", "service_key")


def _prepare_database(server: Any, side: Side, spec: LabSpec) -> None:
    prepare_roles(
        server,
        side,
        {
            FAILBACK_ROLES[side]: spec.secrets["failback_password"],
            PRODUCT_ROLE: spec.secrets["product_password"],
        },
    )
    if not database_exists(server, DATABASE):
        create_database(server, side, DATABASE)
    schema.install(server.admin_dsn(DATABASE), side)


def _prepare_balancer(folder: Path, spec: LabSpec) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    configuration = filled(
        "haproxy.cfg.j2",
        socket=folder / "runtime.sock",
        state_file=folder / "servers.state",
        script=folder / "hold.lua",
        doors=folder / "doors.map",
        api_port=spec.ports["api"],
        database_port=spec.ports["database"],
        product_ports={side.value: spec.ports[f"{side.value}_product"] for side in Side},
        database_ports={side.value: spec.ports[f"{side.value}_database"] for side in Side},
        held_seconds=HELD_SECONDS,
    )
    # Published ports arrive at the namespace's own address, not at its loopback.
    published = configuration.replace("bind 127.0.0.1:", "bind :")
    script = files("failback.lab").joinpath("templates", "hold.lua").read_text(encoding="utf-8")
    for name, text in (
        ("haproxy.cfg", published),
        ("hold.lua", script),
        ("doors.map", "".join(f"{service.value} open\n" for service in Service)),
        ("servers.state", "1\n"),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def _prepare_names(folder: Path, spec: LabSpec) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    configuration = filled(
        "knot.conf.j2",
        port=spec.ports["dns"],
        folder=folder,
        zone=spec.zone,
        key_name=KEY_NAME,
        key_secret=spec.secrets["tsig"],
    )
    (folder / "knot.conf").write_text(configuration, encoding="utf-8")
    zone = folder / "zone.txt"
    if not zone.exists():
        zone.write_text(filled("zone.j2", zone=spec.zone, names=NAMES), encoding="utf-8")


def _facts(folder: Path, spec: LabSpec) -> dict[str, Any]:
    ports = spec.ports
    password = spec.secrets["failback_password"]
    sides = {
        side.value: {
            "dsn": f"postgresql://{FAILBACK_ROLES[side]}:{password}@127.0.0.1:"
            f"{ports[f'{side.value}_database']}/{DATABASE}"
        }
        for side in Side
    }
    return {
        "name": spec.name,
        **sides,
        "balancer": {
            "api_url": f"http://127.0.0.1:{ports['api']}",
            "database_dsn": _product_dsn(spec, None),
            "runtime_api": f"unix://{folder / 'balancer' / 'runtime.sock'}",
            "doors_map": str(folder / "balancer" / "doors.map"),
        },
        "temporal": {
            "address": f"127.0.0.1:{ports['temporal']}",
            "ui_url": f"http://127.0.0.1:{ports['temporal_ui']}",
        },
        "dns": {"address": f"127.0.0.1:{ports['dns']}", "zone": spec.zone},
    }


def _product_dsn(spec: LabSpec, side: Side | None) -> str:
    """The product's way to its database: one side's, or the balancer's."""
    port = spec.ports[f"{side.value}_database" if side else "database"]
    password = spec.secrets["product_password"]
    return f"postgresql://{PRODUCT_ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"


def main() -> None:
    """Read the options, prepare, and give the folder to the user of the other containers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--owner", type=int, required=True, help="user id of the other containers")
    options = parser.parse_args()
    prepare(
        options.folder,
        {
            side: f"postgresql://{user}:{os.environ['ADMIN_PASSWORD']}@127.0.0.1:"
            f"{PORTS[f'{side.value}_database']}/postgres"
            for side, user in ((Side.SOURCE, "supabase_admin"), (Side.TARGET, "postgres"))
        },
    )
    for path in (options.folder, *options.folder.rglob("*")):
        os.chown(path, options.owner, options.owner, follow_symlinks=False)


if __name__ == "__main__":
    main()
