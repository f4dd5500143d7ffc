"""Edge functions of the project: what is deployed, but for running it."""

import hashlib
import re
import time
import uuid
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from failback.lab.management.kept import Kept
from failback.lab.management.refusals import RefusalError, body_of

_SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class _Update(BaseModel):
    name: str | None = None
    verify_jwt: bool | None = None


class _Metadata(BaseModel):
    entrypoint_path: str
    name: str | None = None
    verify_jwt: bool = True


_UPDATE = TypeAdapter(_Update)
_METADATA = TypeAdapter(_Metadata)


class Functions:
    """Handlers under `/functions`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.get(f"{prefix}/functions", self.read_all),
            web.post(f"{prefix}/functions/deploy", self.deploy),
            web.get(f"{prefix}/functions/{{slug}}", self.read),
            web.patch(f"{prefix}/functions/{{slug}}", self.update),
            web.delete(f"{prefix}/functions/{{slug}}", self.delete),
        ]

    def put(
        self, slug: str, files: dict[str, bytes], entrypoint: str, **settings: Any
    ) -> dict[str, Any]:
        """Deploy a function, in place of what is deployed."""
        now = int(time.time() * 1000)
        with self._kept.changing() as state:
            before = state["functions"].get(slug, {})
            deployed = {
                "id": before.get("id", str(uuid.uuid4())),
                "slug": slug,
                "name": settings.get("name") or slug,
                "status": "ACTIVE",
                "version": before.get("version", 0) + 1,
                "created_at": before.get("created_at", now),
                "updated_at": now,
                "verify_jwt": settings.get("verify_jwt", True),
                "import_map": False,
                "entrypoint_path": entrypoint,
                "ezbr_sha256": bundle_digest(files),
            }
            state["functions"][slug] = deployed
        return deployed

    async def read_all(self, _request: web.Request) -> web.Response:
        """Every function."""
        return web.json_response(list(self._kept.state["functions"].values()))

    async def read(self, request: web.Request) -> web.Response:
        """One function; 404 where it is not deployed."""
        return web.json_response(self._one(request))

    async def update(self, request: web.Request) -> web.Response:
        """Change a name, or whether a token is wanted."""
        change = (await body_of(request, _UPDATE)).model_dump(exclude_none=True)
        slug = self._one(request)["slug"]
        with self._kept.changing() as state:
            state["functions"][slug] |= {**change, "updated_at": int(time.time() * 1000)}
        return web.json_response(state["functions"][slug])

    async def delete(self, request: web.Request) -> web.Response:
        """Take a function away."""
        slug = self._one(request)["slug"]
        with self._kept.changing() as state:
            del state["functions"][slug]
        return web.Response()

    async def deploy(self, request: web.Request) -> web.Response:
        """Files and metadata as form data; the name stands in the query."""
        slug = request.query.get("slug", "")
        if not _SLUG.fullmatch(slug):
            raise RefusalError(400, "slug: wants a letter, then letters, digits, `_` and `-`")
        files: dict[str, bytes] = {}
        form = await request.post()
        for file in form.getall("file", []):
            if isinstance(file, web.FileField):
                files[file.filename] = file.file.read()
        try:
            metadata = _METADATA.validate_json(_text(form.get("metadata")))
        except ValidationError as error:
            raise RefusalError(400, "metadata: wants JSON with an entrypoint_path") from error
        if metadata.entrypoint_path not in files:
            raise RefusalError(400, "metadata: names no entrypoint among the files")
        settings = metadata.model_dump(exclude={"entrypoint_path"})
        deployed = self.put(slug, files, metadata.entrypoint_path, **settings)
        return web.json_response(deployed, status=201)

    def _one(self, request: web.Request) -> dict[str, Any]:
        found: dict[str, Any] | None = self._kept.state["functions"].get(request.match_info["slug"])
        if found is None:
            raise RefusalError(404, "Function not found")
        return found


def _text(field: object) -> str | bytes:
    """A field of a form: text, or bytes where its sender named a type."""
    return bytes(field) if isinstance(field, bytes | bytearray) else str(field or "")


def bundle_digest(files: dict[str, bytes]) -> str:
    """SHA-256 over all files: the lab has no eszip, and this changes whenever that would."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{hashlib.sha256(content).hexdigest()}  {path}\n".encode())
    return digest.hexdigest()
