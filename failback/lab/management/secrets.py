"""Secrets of the project's functions. Only their digests are ever answered."""

import hashlib
import json
import time
from pathlib import Path
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter, field_validator

from failback.lab.accounts import write_private
from failback.lab.management.refusals import body_of


class _Secret(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=24_576)]

    @field_validator("name")
    @classmethod
    def _is_not_reserved(cls, name: str) -> str:
        if name.startswith("SUPABASE_"):
            raise ValueError("must not start with the SUPABASE_ prefix")
        return name


_SECRETS = TypeAdapter(list[_Secret])
_NAMES = TypeAdapter(list[str])


class Secrets:
    """Handlers under `/secrets`.

    Args:
        file: a JSON object of values by name, which the project's runtime reads.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.get(f"{prefix}/secrets", self.read_all),
            web.post(f"{prefix}/secrets", self.create),
            web.delete(f"{prefix}/secrets", self.delete),
        ]

    async def read_all(self, _request: web.Request) -> web.Response:
        """Names and digests."""
        changed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._changed()))
        return web.json_response(
            [
                {
                    "name": name,
                    "value": hashlib.sha256(value.encode()).hexdigest(),
                    "updated_at": changed,
                }
                for name, value in sorted(self._values().items())
            ]
        )

    async def create(self, request: web.Request) -> web.Response:
        """Set secrets; others stay."""
        given = {secret.name: secret.value for secret in await body_of(request, _SECRETS)}
        write_private(self._file, json.dumps(self._values() | given, indent=2))
        return web.Response(status=201)

    async def delete(self, request: web.Request) -> web.Response:
        """Take secrets away; a name that is not there is no error."""
        names = await body_of(request, _NAMES)
        rest = {name: value for name, value in self._values().items() if name not in names}
        write_private(self._file, json.dumps(rest, indent=2))
        return web.Response()

    def _values(self) -> dict[str, str]:
        try:
            values: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return values

    def _changed(self) -> float:
        return self._file.stat().st_mtime if self._file.exists() else 0.0
