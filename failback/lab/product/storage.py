"""The storage part: files on disk, with a row each that says which version is current."""

import asyncio
import json
import os
import re
import uuid
from pathlib import Path

from aiohttp import web

from failback.lab.product.database import Database
from failback.lab.product.gate import Gate
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query
from failback.lab.product.tokens import Caller

_NAME = re.compile(r"[A-Za-z0-9_!.*'()&$@=;:+,? -]+(/[A-Za-z0-9_!.*'()&$@=;:+,? -]+)*")
_ROOT = "/storage/v1/object/{bucket}/{name:.+}"


class Storage:
    """Handlers under `/storage/v1/`.

    A file is written under a version of its own before its row says so, and the version that
    was replaced is removed afterwards: readers never meet half a file, and a write that the
    database refuses leaves the old content.

    Args:
        files: folder of this side's files, `bucket/name/version`.
    """

    def __init__(self, database: Database, gate: Gate, files: Path) -> None:
        self._database = database
        self._gate = gate
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.get("/storage/v1/health", self.health),
            web.post(_ROOT, self.create),
            web.put(_ROOT, self.replace),
            web.get(_ROOT, self.read),
            web.delete(_ROOT, self.delete),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Healthy when the folder may be written and the rows may be read."""
        await self._database.row("SELECT 1 FROM storage.objects LIMIT 1")
        if not os.access(self._files, os.W_OK):
            raise ProblemError(503, "storage_unavailable", "The files cannot be written.")
        return web.json_response({"healthy": True})

    async def create(self, request: web.Request) -> web.Response:
        """Stores a new object; an existing one is 409 unless `x-upsert: true`."""
        upsert = request.headers.get("x-upsert", "").lower() == "true"
        return await self._store(request, replace=upsert)

    async def replace(self, request: web.Request) -> web.Response:
        """Stores an object, new or not."""
        return await self._store(request, replace=True)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """The content of an object that the caller may see."""
        caller, bucket, name = self._asked(request)
        row = await self._database.row(
            "SELECT version, metadata ->> 'mimetype', owner::text FROM storage.objects"
            " WHERE bucket_id = %s AND name = %s",
            [bucket, name],
        )
        if row is None or not (caller.is_service or row[2] == caller.user_id):
            raise ProblemError(404, "not_found", "Object not found")
        path = self._folder(bucket, name) / row[0]
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError as error:
            raise ProblemError(404, "not_found", "The object's file is missing") from error
        return web.Response(
            body=content, headers={"Content-Type": row[1] or "application/octet-stream"}
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Removes an object of the caller: first its row, then its file."""
        caller, bucket, name = self._asked(request)
        row = await self._database.row(
            "DELETE FROM storage.objects WHERE bucket_id = %s AND name = %s"
            " AND (%s OR owner = %s::uuid) RETURNING version",
            [bucket, name, caller.is_service, caller.user_id],
        )
        if row is None:
            raise ProblemError(404, "not_found", "Object not found")
        await asyncio.to_thread((self._folder(bucket, name) / row[0]).unlink, missing_ok=True)
        return web.json_response({"message": "Successfully deleted"})

    async def _store(self, request: web.Request, *, replace: bool) -> web.Response:
        caller, bucket, name = self._asked(request)
        content = await request.read()
        folder, version = self._folder(bucket, name), str(uuid.uuid4())
        await asyncio.to_thread(_write, folder / version, content)
        # When this fails the new file stays: an orphan costs nothing, and a lost answer may
        # hide a row that points to it.
        row = await self._database.row(
            query("put_object"),
            {
                "bucket": bucket,
                "name": name,
                "owner": caller.user_id,
                "service": caller.is_service,
                "version": version,
                "replace": replace,
                "metadata": json.dumps({"size": len(content), "mimetype": request.content_type}),
            },
        )
        if row is None:
            await asyncio.to_thread((folder / version).unlink, missing_ok=True)
            raise ProblemError(409, "Duplicate", "The resource already exists")
        if row[1] is not None:
            await asyncio.to_thread((folder / row[1]).unlink, missing_ok=True)
        return web.json_response({"Id": row[0], "Key": f"{bucket}/{name}"})

    def _asked(self, request: web.Request) -> tuple[Caller, str, str]:
        """Who asks for which object; a path that could leave the folder is refused."""
        caller = self._gate.caller(request)
        if caller.user_id is None and not caller.is_service:
            raise ProblemError(401, "no_authorization", "Objects are for signed-in users")
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        parts = [bucket, *name.split("/")]
        if any(part in ("", ".", "..") or not _NAME.fullmatch(part) for part in parts):
            raise ProblemError(400, "InvalidKey", f"Invalid key: {bucket}/{name}")
        return caller, bucket, name

    def _folder(self, bucket: str, name: str) -> Path:
        # One level, so that an object may have the name of another one's folder.
        return self._files / bucket / name.replace("/", "%2F")


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it outlasts a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
