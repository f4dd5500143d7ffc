"""The lab's parts for levels 3 and 4: objects, functions, platform APIs, a standby."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from failback.lab import standby
from failback.lab.objects import BUCKETS, ObjectServer
from failback.lab.parts import Part
from failback.lab.product.environment import JWT_KEYS, REUSE_SECONDS
from failback.lab.product.s3 import S3Access
from failback.lab.project import ManagementServer
from failback.lab.runtimes import (
    functions_environment,
    functions_facts,
    functions_section,
    runtimes,
)
from failback.lab.spec import LabSpec
from failback.lab.system_settings import SystemSettings
from failback.models.common import Side

NOT_ASKED_FOR = "not asked for: `failback lab up --system`"
REUSE_INTERVAL_SECONDS = 1.0
"""A tenth of what projects usually have, so that a proof that sessions go on is quick."""


class SystemParts:
    """Everything of a Supabase project besides its database and its routes.

    Args:
        folder: the lab's folder.
        spec: its ports and secrets.
    """

    def __init__(self, folder: Path, spec: LabSpec) -> None:
        self._folder = folder
        self._spec = spec
        self.standby = standby.standby_server(folder, spec)
        self.objects = {
            side: ObjectServer(
                side,
                port=spec.ports[f"{side.value}_objects"],
                files=folder / "objects" / side.value,
                secret=spec.secrets[f"{side.value}_objects"],
                log=folder / "logs" / f"{side.value}-objects.log",
            )
            for side in Side
        }
        self.runtimes = runtimes(folder, spec)
        self.settings = SystemSettings(
            folder, spec, self.objects[Side.SOURCE].endpoint, self.objects[Side.SOURCE].files
        )
        self.management = ManagementServer(
            folder / "management",
            spec,
            secrets_file=self.runtimes[Side.SOURCE].secrets_file,
            jwt_keys=self._jwt_keys(Side.SOURCE),
            log=folder / "logs" / "management.log",
        )

    def _jwt_keys(self, side: Side) -> Path:
        """Signing keys of a side's auth; the management API imports into the source's."""
        return self._folder / "auth" / f"{side.value}-keys.json"

    def parts(self) -> Iterator[Part]:
        """Each of them, whoever asks before whoever is asked. They start before the products."""
        yield self.management
        yield from self.runtimes.values()
        yield from self.objects.values()
        yield self.standby

    def prepare(self) -> None:
        """What has to be there once all of them answer, such as buckets. May be repeated."""
        standby.prepare(self.standby, self._spec)
        self.settings.prepare()

    def measure(self, config: Path) -> None:
        """Record what the source is compared with later; its product answers by now."""
        self.settings.measure(config)

    def product_environment(self, side: Side) -> Mapping[str, str]:
        """What the product of one side has to know of them."""
        return {
            **S3Access.written(self.objects[side].endpoint, BUCKETS),
            **functions_environment(self.runtimes[side]),
            JWT_KEYS: str(self._jwt_keys(side)),
            REUSE_SECONDS: str(REUSE_INTERVAL_SECONDS),
        }

    def facts(self) -> dict[str, Any]:
        """Their endpoints; `off` says for each part that is not there why."""
        objects = {
            side.value: {**server.endpoint, "buckets": list(BUCKETS), "files": str(server.files)}
            for side, server in self.objects.items()
        }
        return {
            "off": {},
            "objects": objects,
            "functions": functions_facts(self.runtimes),
            "supabase": self.management.section(),
            "standby": standby.facts(self.standby, self._spec),
            "settings": self.settings.facts(),
        }

    def sections(self) -> dict[str, Any]:
        """Their sections of `failback.yaml`, by name."""
        return {
            "supabase": self.management.section(),
            "functions": functions_section(self.runtimes, self._spec.secrets["service_key"]),
            "auth": self._auth_section(),
            **self.settings.sections(),
            "recovery": standby.section(self.standby, self._spec),
            # Often, so that a recovery can be tried soon after the lab was armed.
            "archive": {"interval_seconds": 2.0, "idle_seconds": 10.0},
            # The rows of stored objects travel with the rows; their bytes with the storage sync.
            "data": {"tables": {"include": ["public.*", "auth.*", "storage.*"]}},
            "storage": {
                **{side.value: server.endpoint for side, server in self.objects.items()},
                "buckets": [{"target": bucket} for bucket in BUCKETS],
                "inventory": str(self._folder / "objects" / "inventory.sqlite3"),
            },
        }

    def _auth_section(self) -> dict[str, Any]:
        secrets = self._spec.secrets
        keys = {"anon_key": secrets["anon_key"], "service_key": secrets["service_key"]}
        ports = {side.value: self._spec.ports[f"{side.value}_product"] for side in Side}
        return {
            **{
                side: {"url": f"http://127.0.0.1:{port}/auth/v1", **keys}
                for side, port in ports.items()
            },
            "jwt_secret": secrets["jwt_secret"],
            "reuse_interval_seconds": REUSE_INTERVAL_SECONDS,
        }
