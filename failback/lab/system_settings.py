"""What a full-system rollback switches, pauses and measures in the lab.

A `.env` and a JSON file stand for the frontend's and the product's settings, an object for what a
site reads at its start, and a secret of the source's functions; a flag for the forward sync.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.lab import inbox
from failback.lab.accounts import write_private
from failback.lab.spec import LabSpec
from failback.models.common import Side

BUCKET = "settings"
"""On the source's object server, beside the product's buckets, which are synced."""
OBJECT = "site.json"
_ENV = """\
# The frontend's settings. `failback configuration status` compares them with both sides'.
NEXT_PUBLIC_SUPABASE_URL="{url}"  # where sessions come from
NEXT_PUBLIC_FEATURES=search,sharing
"""


class SystemSettings:
    """The files and sections of one lab.

    Args:
        folder: the lab's folder.
        spec: its ports.
        objects: how the source's object server is reached.
        bucket_files: the folder that its buckets lie in.
    """

    def __init__(
        self, folder: Path, spec: LabSpec, objects: Mapping[str, Any], bucket_files: Path
    ) -> None:
        self._folder = folder / "settings"
        self._spec = spec
        self._objects = objects
        self._object = bucket_files / BUCKET / OBJECT
        self.baseline = folder / "performance.json"
        self.flag = self._folder / "forward-sync.paused"
        self.env = self._folder / "frontend.env"
        self.product = self._folder / "product.json"

    def prepare(self) -> None:
        """Write what is not there yet, with the target's values. May be repeated."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._object.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._url(Side.TARGET)
        product = {"database": {"pool": 50}, "api": {"url": target}}
        contents = {
            self.env: _ENV.format(url=target),
            self.product: json.dumps(product, indent=2) + "\n",
            self._object: json.dumps({"auth": {"url": target}, "theme": "light"}) + "\n",
        }
        for path, text in contents.items():
            if not path.exists():
                write_private(path, text)

    def measure(self, config: Path) -> None:
        """Record how fast the source is, where that was not done yet.

        Args:
            config: the lab's `failback.yaml`. The source's product answers already.
        """
        if not self.baseline.exists():
            asyncio.run(_record(config))

    def sections(self) -> dict[str, Any]:
        """`configuration`, `pauses` and `validation`."""
        return {
            "configuration": self._configuration(),
            "pauses": {"activities": self._activities()},
            "validation": {
                "baseline": str(self.baseline),
                "performance": {
                    "source_url": self._url(Side.SOURCE),
                    "paths": ["/rest/v1/", "/auth/v1/health"],
                    "statements": [
                        {"name": "documents", "sql": "SELECT id FROM public.documents LIMIT 50"},
                        {"name": "sessions", "sql": "SELECT count(*) FROM auth.sessions"},
                    ],
                    "requests": 20,
                    "factor": 3.0,
                    # Everything of the lab shares one machine with what is being measured.
                    "slack_ms": 250.0,
                },
            },
        }

    def facts(self) -> dict[str, Any]:
        """Where they are."""
        return {
            "env_file": str(self.env),
            "json_file": str(self.product),
            "object": f"{BUCKET}/{OBJECT}",
            "forward_sync_flag": str(self.flag),
            "baseline": str(self.baseline),
        }

    def _configuration(self) -> dict[str, Any]:
        urls = {side.value: self._url(side) for side in Side}
        return {
            "places": {
                "frontend": {"env_file": str(self.env)},
                "product": {"json_file": str(self.product)},
                "site": {"s3": {**self._objects, "bucket": BUCKET, "object": OBJECT}},
                "functions": {"supabase_secrets": True},
            },
            "keys": [
                {
                    "name": "frontend_url",
                    "group": "auth",
                    "place": "frontend",
                    "key": "NEXT_PUBLIC_SUPABASE_URL",
                    **urls,
                },
                {
                    "name": "site_url",
                    "group": "auth",
                    "place": "site",
                    "key": "/auth/url",
                    **urls,
                },
                {"name": "api_url", "place": "product", "key": "/api/url", **urls},
                {
                    "name": "pool",
                    "place": "product",
                    "key": "/database/pool",
                    "form": "json",
                    "source": "10",
                    "target": "50",
                },
                {
                    "name": "public_url",
                    "group": "functions",
                    "place": "functions",
                    "key": "PUBLIC_URL",
                    "source": urls["source"],
                    # While the target is live, the source's functions have none.
                    "target": None,
                },
            ],
        }

    def _activities(self) -> dict[str, Any]:
        flag = str(self.flag)
        found: dict[str, Any] = {
            "forward_sync": {
                "command": {
                    "pause": ["touch", flag],
                    "resume": ["rm", "-f", flag],
                    "status": ["test", "-e", flag],
                }
            }
        }
        if self._spec.detection:
            url = f"http://127.0.0.1:{self._spec.ports['inbox']}{inbox.MIGRATION_PATH}"
            hook = {"pause_url": url, "resume_url": url}
            found["deploys"] = {"hook": {**hook, "signing_secret": self._spec.secrets["inbox_key"]}}
        return found

    def _url(self, side: Side) -> str:
        return f"http://127.0.0.1:{self._spec.ports[f'{side.value}_product']}"


async def _record(config: Path) -> None:
    from failback.config import load  # noqa: PLC0415 - only the first start of a lab needs them
    from failback.providers.validation import open_validation  # noqa: PLC0415 - and boto3 is slow

    validation = open_validation(load(config))
    try:
        await validation.record_baseline()
    finally:
        await validation.aclose()
