"""Writes the lab's `failback.yaml`: every section, as an operator would fill it in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from failback.lab.accounts import write_private
from failback.lab.alerting_settings import HEADER as ALERTING_HEADER
from failback.lab.alerting_settings import alerting_sections
from failback.lab.names import KEY_NAME, NAMES
from failback.models.common import Service

_HEADER = """\
# Written by `failback lab up`; the next `up` writes it again. It holds secrets of the lab.
"""
_RULES = {
    "documents_have_owners": (
        "SELECT d.id FROM public.documents d LEFT JOIN auth.users u ON u.id = d.owner"
        " WHERE u.id IS NULL"
    ),
    "sessions_have_users": (
        "SELECT s.id FROM auth.sessions s LEFT JOIN auth.users u ON u.id = s.user_id"
        " WHERE u.id IS NULL"
    ),
    "prices_are_not_negative": "SELECT id FROM public.documents WHERE price < 0",
}
_PEOPLE = {
    "alice": ["engineering_lead"],
    "bob": ["operations"],
    "carol": ["executive", "engineering_lead"],
}
_BACKENDS = {
    Service.DATABASE: ("database", "rest"),
    Service.AUTH: ("auth",),
    Service.STORAGE: ("storage",),
    Service.FUNCTIONS: ("functions",),
}


SIGNING_KEY = "certificates.key"
"""The key that the lab's certificates are signed with, in the lab's folder."""


def write_settings(
    path: Path,
    facts: Mapping[str, Any],
    secrets: Mapping[str, str],
    sections: Mapping[str, Any] | None = None,
) -> None:
    """Write the configuration file for its owner alone.

    Args:
        path: the file.
        facts: the lab's endpoints, as `failback lab status --json` prints them.
        secrets: the lab's secrets by name.
        sections: what the lab's own parts add; a section of theirs replaces the usual one.
    """
    document, header = _document(path.parent, facts, secrets) | dict(sections or {}), _HEADER
    if "alerting" in facts:
        document |= alerting_sections(facts["alerting"], secrets)
        header += ALERTING_HEADER
    write_private(path, header + yaml.safe_dump(document, sort_keys=False, width=100))


def _document(folder: Path, facts: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    balancer, dns, temporal = facts["balancer"], facts["dns"], facts["temporal"]
    zone = dns["zone"]
    return {
        "estate": facts["name"],
        "temporal": {"address": temporal["address"], "ui_url": temporal["ui_url"]},
        "source": {"dsn": facts["source"]["dsn"], "writer_roles": ["product"]},
        "target": {"dsn": facts["target"]["dsn"], "writer_roles": ["product"]},
        "data": {"tables": {"include": ["public.*", "auth.*"]}},
        "traffic": {
            "balancer": {
                "provider": "haproxy",
                "runtime_api": balancer["runtime_api"],
                "doors_map": balancer["doors_map"],
            },
            "routes": {
                service.value: [
                    {"backend": backend, "source": "source", "target": "target"}
                    for backend in backends
                ]
                for service, backends in _BACKENDS.items()
            },
        },
        "dns": {
            "provider": "rfc2136",
            "server": dns["address"],
            "zone": zone,
            "tsig": {"name": KEY_NAME, "secret": secrets["tsig"], "algorithm": "hmac-sha256"},
            "records": [
                {
                    "name": f"{name}.{zone}",
                    "source": f"source.{zone}",
                    "target": f"target.{zone}",
                    "ttl": 60,
                }
                for name in NAMES
            ],
            "resolvers": [dns["address"]],
        },
        "checks": {
            "api_url": balancer["api_url"],
            "database_dsn": balancer["database_dsn"],
            "anon_key": secrets["anon_key"],
            "service_key": secrets["service_key"],
        },
        "business_rules": [{"name": name, "sql": sql} for name, sql in _RULES.items()],
        "approvals": {
            "people": _PEOPLE,
            "link_key": secrets.get("link_key"),
            "levels": {
                1: {"quorum": 0},
                2: {"quorum": 1, "roles": ["engineering_lead", "operations"]},
                3: {"quorum": 2, "roles": ["engineering_lead", "operations"]},
                4: {"quorum": 2, "roles": ["engineering_lead", "operations", "executive"]},
            },
        },
        "notifications": {"operators": {"kind": "log"}},
        "audit": {"file": str(folder / "audit.sqlite3")},
        "backup": {
            "folder": str(folder / "backups"),
            # Left out, the programs are looked for where everybody's are, as in a container.
            "pg_bin": facts["source"].get("programs"),
        },
        "post_mortems": {"directory": str(folder / "post-mortems")},
        "telemetry": {"metrics_address": "127.0.0.1:0"},
        "certificates": {
            "signing_key": str(folder / SIGNING_KEY),
            "directory": str(folder / "certificates"),
        },
    }
