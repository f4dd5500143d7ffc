"""The lab's standby: a server beside the source to restore on. It holds roles alone at first."""

from pathlib import Path
from typing import Any

from failback.lab.databases import FAILBACK_ROLES, PRODUCT_ROLE, prepare_roles
from failback.lab.postgres import PostgresServer
from failback.lab.spec import DATABASE, LabSpec
from failback.models.common import Side

MAJOR = 16
"""The source's: an older server would not take its backups."""
SUPERUSER = "supabase_admin"
NAME = "standby-database"
DOOR = "source_database"
"""The balancer's backend that the source's product reaches its database through."""
_STABILITY_SECONDS = 3.0
"""Short, because a demonstration has six services to wait for."""


def standby_server(folder: Path, spec: LabSpec) -> PostgresServer:
    """The standby of a lab.

    Args:
        folder: the lab's folder.
        spec: its ports.
    """
    return PostgresServer(
        MAJOR,
        folder / "standby",
        port=spec.ports["standby_database"],
        superuser=SUPERUSER,
        name=NAME,
        log=folder / "logs" / f"{NAME}.log",
    )


def prepare(server: PostgresServer, spec: LabSpec) -> None:
    """Give the standby the source's roles, with their passwords. May be repeated."""
    prepare_roles(
        server,
        Side.SOURCE,
        {
            FAILBACK_ROLES[Side.SOURCE]: spec.secrets["failback_password"],
            PRODUCT_ROLE: spec.secrets["product_password"],
        },
    )


def facts(server: PostgresServer, spec: LabSpec) -> dict[str, str]:
    """How to reach the standby, and the product's database there once one was restored."""
    password = spec.secrets["failback_password"]
    return {
        "admin_dsn": server.admin_dsn(),
        "dsn": server.dsn(FAILBACK_ROLES[Side.SOURCE], password, DATABASE),
        "product_dsn": server.admin_dsn(DATABASE),
        "door": DOOR,
    }


def section(server: PostgresServer, spec: LabSpec) -> dict[str, Any]:
    """The section `recovery` of the lab's configuration."""
    return {
        "standby_dsn": server.admin_dsn(),
        "doors": ["database", DOOR],
        "auth_health_url": f"http://127.0.0.1:{spec.ports['source_product']}/auth/v1/health",
        "stability_seconds": _STABILITY_SECONDS,
        "look_seconds": 0.5,
    }
