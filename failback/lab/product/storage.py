"""The storage part: objects whose rows say who may see them, and whose bytes a store keeps."""

import base64
import binascii
import json
import re
import uuid
from typing import Any

from aiohttp import BodyPartReader, web
from psycopg import sql

from failback.lab.product.body import json_object
from failback.lab.product.database import Database
from failback.lab.product.gate import Gate
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query
from failback.lab.product.s3 import Content
from failback.lab.product.stores import ObjectStore, Place
from failback.lab.product.tokens import Caller

_NAME = re.compile(r"[A-Za-z0-9_!.*'()&$@=;:+,? -]+(/[A-Za-z0-9_!.*'()&$@=;:+,? -]+)*")
_ROOT = "/storage/v1/object/{bucket}/{name:.+}"
_UNKNOWN_TYPE = "application/octet-stream"
_SORTED_BY = frozenset({"name", "created_at", "updated_at", "last_accessed_at"})
_MOST_LISTED = 1000


class Storage:
    """Handlers under `/storage/v1/`.

    A row is written, then the bytes, and then the row is committed: what the fence refuses has
    written no bytes, and once the fence is up no bytes are on their way. Readers never meet an
    object whose bytes were not stored yet.

    Args:
        store: keeps the bytes.
    """

    def __init__(self, database: Database, gate: Gate, store: ObjectStore) -> None:
        self._database = database
        self._gate = gate
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.get("/storage/v1/health", self.health),
            web.post("/storage/v1/object/list/{bucket}", self.list_level),
            web.get("/storage/v1/object/authenticated/{bucket}/{name:.+}", self.read),
            web.post(_ROOT, self.create),
            web.put(_ROOT, self.replace),
            web.get(_ROOT, self.read),
            web.delete(_ROOT, self.delete),
            web.delete("/storage/v1/object/{bucket}", self.delete_several),
        ]

    async def close(self) -> None:
        """Give back connections."""
        await self._store.close()

    async def health(self, _request: web.Request) -> web.Response:
        """Healthy when objects may be written and the rows may be read."""
        await self._database.row("SELECT 1 FROM storage.objects LIMIT 1")
        await self._store.check()
        return web.json_response({"healthy": True})

    async def create(self, request: web.Request) -> web.Response:
        """Stores a new object; an existing one is 409 unless `x-upsert: true`."""
        upsert = request.headers.get("x-upsert", "").lower() == "true"
        return await self._write(request, replace=upsert)

    async def replace(self, request: web.Request) -> web.Response:
        """Stores an object, new or not."""
        return await self._write(request, replace=True)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """The content of an object that the caller may see."""
        caller, bucket, name = self._asked(request)
        row = await self._database.row(
            "SELECT version, metadata, owner::text FROM storage.objects"
            " WHERE bucket_id = %s AND name = %s",
            [bucket, name],
        )
        if row is None or not (caller.is_service or row[2] == caller.user_id):
            raise ProblemError(404, "not_found", "Object not found")
        found = await self._store.read(Place(bucket, name, row[0]))
        if found is None:
            raise ProblemError(404, "not_found", "The object's file is missing")
        headers = {
            "Content-Type": row[1].get("mimetype") or _UNKNOWN_TYPE,
            "Cache-Control": row[1].get("cacheControl") or "no-cache",
            **({"ETag": f'"{found.etag}"'} if found.etag else {}),
            **({"Last-Modified": found.modified} if found.modified else {}),
        }
        return web.Response(body=found.body, headers=headers)

    async def list_level(self, request: web.Request) -> web.Response:
        """Objects and folders right below a prefix, as supabase-js's `list` asks for them."""
        caller, bucket = self._signed_in(request), request.match_info["bucket"]
        self._store.check_bucket(bucket)
        body = await json_object(request)
        prefix = str(body.get("prefix") or "").strip("/")
        rows = await self._database.rows(
            query("list_objects").format(order=_order(body.get("sortBy"))),
            {
                "bucket": bucket,
                "prefix": f"{prefix}/" if prefix else "",
                "service": caller.is_service,
                "owner": caller.user_id,
                "search": str(body.get("search") or ""),
                "limit": _number(body, "limit", 100, _MOST_LISTED),
                "offset": _number(body, "offset", 0, 2**31),
            },
        )
        return web.json_response([row[0] for row in rows])

    async def delete(self, request: web.Request) -> web.Response:
        """Removes an object of the caller."""
        caller, bucket, name = self._asked(request)
        if not await self._deleted(caller, bucket, [name]):
            raise ProblemError(404, "not_found", "Object not found")
        return web.json_response({"message": "Successfully deleted"})

    async def delete_several(self, request: web.Request) -> web.Response:
        """Removes those of `{"prefixes": [name, …]}` that are the caller's, and says which."""
        caller, bucket = self._signed_in(request), request.match_info["bucket"]
        self._store.check_bucket(bucket)
        names = (await json_object(request)).get("prefixes")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProblemError(400, "InvalidRequest", "prefixes is a list of names")
        gone = await self._deleted(caller, bucket, names)
        return web.json_response([{"bucket_id": bucket, "name": place.name} for place in gone])

    async def _deleted(self, caller: Caller, bucket: str, names: list[str]) -> list[Place]:
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "DELETE FROM storage.objects WHERE bucket_id = %s AND name = ANY(%s)"
                " AND (%s OR owner = %s::uuid) RETURNING name, version",
                [bucket, names, caller.is_service, caller.user_id],
            )
            gone = [Place(bucket, *row) for row in await cursor.fetchall()]
            for place in gone:
                await self._store.remove(place)
        for place in gone:
            await self._store.forget(place)
        return gone

    async def _write(self, request: web.Request, *, replace: bool) -> web.Response:
        caller, bucket, name = self._asked(request)
        content = await _sent(request)
        place = Place(bucket, name, str(uuid.uuid4()))
        facts = {
            "size": len(content.body),
            "mimetype": content.content_type,
            "cacheControl": content.cache_control or "no-cache",
        }
        wanted = {
            "bucket": bucket,
            "name": name,
            "owner": caller.user_id,
            "service": caller.is_service,
            "version": place.version,
            "replace": replace,
            "metadata": json.dumps(facts),
        }
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(query("put_object"), wanted)
            row = await cursor.fetchone()
            if row is None:
                raise ProblemError(409, "Duplicate", "The resource already exists")
            await self._store.write(place, content)
        # When the commit fails the new bytes stay: a lost answer may hide a row that names them.
        if row[1] is not None:
            await self._store.forget(Place(bucket, name, row[1]))
        return web.json_response({"Id": row[0], "Key": f"{bucket}/{name}"})

    def _signed_in(self, request: web.Request) -> Caller:
        caller = self._gate.caller(request)
        if caller.user_id is None and not caller.is_service:
            raise ProblemError(401, "no_authorization", "Objects are for signed-in users")
        return caller

    def _asked(self, request: web.Request) -> tuple[Caller, str, str]:
        """Who asks for which object; a path that could leave the folder is refused."""
        caller = self._signed_in(request)
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        parts = [bucket, *name.split("/")]
        if any(part in ("", ".", "..") or not _NAME.fullmatch(part) for part in parts):
            raise ProblemError(400, "InvalidKey", f"Invalid key: {bucket}/{name}")
        self._store.check_bucket(bucket)
        return caller, bucket, name


async def _sent(request: web.Request) -> Content:
    """The object in a request: its body, or the file of a form as browsers send it."""
    if not request.content_type.startswith("multipart/"):
        return Content(
            body=await request.read(),
            content_type=request.content_type or _UNKNOWN_TYPE,
            cache_control=request.headers.get("Cache-Control", ""),
            metadata=_metadata(request.headers.get("x-metadata")),
        )
    fields: dict[str, str] = {}
    file: tuple[bytes, str] | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename is None and part.name:
            fields[part.name] = await part.text()
        else:
            file = (bytes(await part.read()), part.headers.get("Content-Type", _UNKNOWN_TYPE))
    if file is None:
        raise ProblemError(400, "InvalidRequest", "The form has no file")
    seconds = fields.get("cacheControl", "")
    return Content(
        body=file[0],
        content_type=file[1],
        cache_control=f"max-age={seconds}" if seconds.isdecimal() else seconds,
        metadata=_metadata(fields.get("metadata"), encoded=False),
    )


def _metadata(text: str | None, *, encoded: bool = True) -> dict[str, str]:
    """The client's own metadata: a JSON object of texts, in Base64 where it came in a header."""
    if not text:
        return {}
    try:
        told = json.loads(base64.b64decode(text, validate=True) if encoded else text)
    except (ValueError, binascii.Error) as error:
        raise ProblemError(400, "InvalidRequest", "The metadata is not readable") from error
    if not isinstance(told, dict) or not all(
        isinstance(value, str) and f"{name}{value}".isascii() for name, value in told.items()
    ):
        raise ProblemError(400, "InvalidRequest", "The metadata is an object of ASCII texts")
    return told


def _order(sorting: object) -> sql.Composed:
    """What `sortBy` asks for; by name where it asks for nothing."""
    wanted: dict[str, Any] = sorting if isinstance(sorting, dict) else {}
    column, order = wanted.get("column") or "name", wanted.get("order") or "asc"
    if column not in _SORTED_BY or order not in ("asc", "desc"):
        raise ProblemError(400, "InvalidRequest", "sortBy names a column, and asc or desc")
    direction = sql.SQL("ASC") if order == "asc" else sql.SQL("DESC")
    return sql.SQL("{} {}").format(sql.Identifier(column), direction)


def _number(body: dict[str, Any], name: str, usual: int, most: int) -> int:
    value = body.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProblemError(400, "InvalidRequest", f"{name} is a number from 0 to {most}")
    return value
