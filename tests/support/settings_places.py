"""Places of configuration values on real servers and files, each with a way to meddle."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from dotenv import dotenv_values, set_key

from failback.config import Estate
from failback.providers.configuration import FakePlace, Place, PlacesSwitch, open_configuration
from failback.sections.configuration import KeyConfig
from failback.system_ports import ConfigurationSwitch

from support.object_servers import S3Server

VALUES = {
    "auth_url": ("https://source.test/auth?a=1&b=2", "https://target.test/auth"),
    "password": ('s3cr\'et $HOME "x" #1', "line one\nline two \\ end"),
    "extra": (None, "only there"),
}
"""Source's and target's value by the key's name."""
REF = "abcdefghijklmnopqrst"
TOKEN = "made-up-token"
_BASE: dict[str, Any] = {
    "estate": "shop",
    "source": {"dsn": "postgresql://localhost/a"},
    "target": {"dsn": "postgresql://localhost/b"},
    "traffic": {
        "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
        "routes": {"database": [{"backend": "rest"}]},
    },
}


@dataclass
class Subject:
    """A switch over one place that holds `VALUES`."""

    switch: ConfigurationSwitch
    held: Callable[[], dict[str, Any]]
    """What the place holds of them, by the key's name."""
    put: Callable[[str, str], None]
    """Change one as somebody else does."""
    lose: Callable[[], None]
    """Take the place away."""


def estate_with(place: dict[str, Any], address: Callable[[str], str], **more: Any) -> Estate:
    """An estate that switches `VALUES` in one place."""
    keys = [
        {
            "name": name,
            "group": "auth" if name == "auth_url" else "settings",
            "place": "there",
            "key": address(name),
            "source": source,
            "target": target,
        }
        for name, (source, target) in VALUES.items()
    ]
    return Estate.model_validate(
        {**_BASE, **more, "configuration": {"places": {"there": place}, "keys": keys}}
    )


def opened(place: dict[str, Any], address: Callable[[str], str], **more: Any) -> PlacesSwitch:
    switch = open_configuration(estate_with(place, address, **more))
    assert isinstance(switch, PlacesSwitch)
    switch._pause = 0.001
    return switch


def document() -> dict[str, Any]:
    """What a document's place holds at first: the target's values, and others."""
    values = {name: target for name, (_, target) in VALUES.items()}
    return {"untouched": [1.50, "ä"], "inner": {"a/b": values}}


def pointer(name: str) -> str:
    return f"/inner/a~1b/{name}"


def values_of(text: str) -> dict[str, Any]:
    found = json.loads(text)
    assert found["untouched"] == [1.50, "ä"]
    inner = found["inner"]["a/b"]
    assert isinstance(inner, dict)
    return inner


def with_value(text: str, name: str, value: str) -> str:
    found = json.loads(text)
    found["inner"]["a/b"][name] = value
    return json.dumps(found)


@asynccontextmanager
async def on_a_fake() -> AsyncIterator[Subject]:
    place = FakePlace()
    place.held = {name: target for name, (_, target) in VALUES.items()}
    keys = estate_with({"env_file": "x"}, str).configuration
    assert keys is not None
    places: dict[str, Place] = {"there": place}
    yield Subject(
        switch=PlacesSwitch(keys.keys, places, pause_seconds=0.001),
        held=lambda: dict(place.held),
        put=place.put,
        lose=lambda: (place.fail("read", None), place.fail("write", None))[0],
    )


@asynccontextmanager
async def on_an_env_file(folder: Path) -> AsyncIterator[Subject]:
    path = folder / ".env"
    path.write_text('# first\nUNTOUCHED="a ${B}" # note\n\n')
    for name, (_, target) in VALUES.items():
        set_key(path, name, target)

    def held() -> dict[str, Any]:
        found = dict(dotenv_values(path, interpolate=False))
        assert found.pop("UNTOUCHED") == "a ${B}"
        return found

    switch = opened({"env_file": str(path)}, str)
    yield Subject(switch, held, lambda name, value: _set(path, name, value), path.unlink)
    await switch.aclose()


def _set(path: Path, name: str, value: str) -> None:
    set_key(path, name, value)


@asynccontextmanager
async def on_a_json_file(folder: Path) -> AsyncIterator[Subject]:
    path = folder / "settings.json"
    path.write_text(json.dumps(document(), indent=3, ensure_ascii=False))
    switch = opened({"json_file": str(path)}, pointer)
    yield Subject(
        switch,
        lambda: values_of(path.read_text()),
        lambda name, value: (path.write_text(with_value(path.read_text(), name, value)), None)[1],
        path.unlink,
    )
    await switch.aclose()


@asynccontextmanager
async def on_s3(server: S3Server, bucket: str) -> AsyncIterator[Subject]:
    server.make(bucket)
    client, at = server.client, {"Bucket": bucket, "Key": "config/app.json"}
    client.put_object(
        **at,
        Body=json.dumps(document()).encode(),
        ContentType="application/json",
        Metadata={"owner": "mira"},
    )

    def text() -> str:
        answer = client.get_object(**at)
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        assert (answer["ContentType"], metadata) == ("application/json", {"owner": "mira"})
        return str(answer["Body"].read().decode())

    def put(name: str, value: str) -> None:
        body = with_value(text(), name, value).encode()
        client.put_object(
            **at, Body=body, ContentType="application/json", Metadata={"owner": "mira"}
        )

    place = {
        "s3": {
            "url": server.url,
            "access_key": server.config.access_key,
            "secret_key": server.config.secret_key,
            "bucket": bucket,
            "object": "config/app.json",
        }
    }
    switch = opened(place, pointer)
    yield Subject(
        switch, lambda: values_of(text()), put, lambda: (client.delete_object(**at), None)[1]
    )
    await switch.aclose()


@dataclass
class SettingsServer:
    """A JSON document behind an address, with ETags and a token."""

    text: str
    statuses: list[int] = field(default_factory=list)
    """What the next answers are instead; 0 lets one through."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    meddle: Callable[[], None] = lambda: None
    """Called before each write."""

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.text.encode()).hexdigest()}"'

    async def get(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.Response(
            text=self.text, content_type="application/json", headers={"ETag": self.etag}
        )

    async def put(self, request: web.Request) -> web.Response:
        return self._changed(request, await request.text())

    async def patch(self, request: web.Request) -> web.Response:
        patch = await request.json()
        self.bodies.append(patch)
        return self._changed(request, json.dumps(_merged(json.loads(self.text), patch)))

    def _changed(self, request: web.Request, text: str) -> web.Response:
        self.meddle()
        refused = self._refused(request)
        if refused is not None:
            return refused
        if request.headers["If-Match"] != self.etag:
            return web.Response(status=412)
        self.text = text
        return web.Response(status=204)

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        status = self.statuses.pop(0) if self.statuses else 0
        return web.Response(status=status) if status else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SettingsServer"]:
        app = web.Application()
        app.router.add_get("/settings", self.get)
        app.router.add_put("/settings", self.put)
        app.router.add_patch("/settings", self.patch)
        async with served(app) as url:
            self.url = f"{url}/settings"
            yield self


@asynccontextmanager
async def on_http(method: str) -> AsyncIterator[Subject]:
    async with SettingsServer(json.dumps(document())).running() as server:
        place = {"http": {"url": server.url, "method": method, "token": TOKEN}}
        switch = opened(place, pointer)
        yield Subject(
            switch,
            lambda: values_of(server.text),
            lambda name, value: setattr(server, "text", with_value(server.text, name, value)),
            lambda: server.statuses.extend([503] * 50),
        )
        await switch.aclose()


@dataclass
class SecretsServer:
    """The management API's secrets: values go in, and digests come out."""

    secrets: dict[str, str]
    down: bool = False

    async def list(self, _request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=500)
        return web.json_response(
            [
                {"name": name, "value": hashlib.sha256(value.encode()).hexdigest()}
                for name, value in self.secrets.items()
            ]
        )

    async def create(self, request: web.Request) -> web.Response:
        self.secrets |= {one["name"]: one["value"] for one in await request.json()}
        return web.Response(status=201)

    async def delete(self, request: web.Request) -> web.Response:
        for name in await request.json():
            self.secrets.pop(name, None)
        return web.Response(status=200)


@asynccontextmanager
async def on_supabase() -> AsyncIterator[Subject]:
    server = SecretsServer({name: target for name, (_, target) in VALUES.items()})
    app = web.Application()
    path = f"/v1/projects/{REF}/secrets"
    app.router.add_get(path, server.list)
    app.router.add_post(path, server.create)
    app.router.add_delete(path, server.delete)
    async with served(app) as url:
        project = {"ref": REF, "access_token": TOKEN, "api_url": url, "tries": 1}
        switch = opened({"supabase_secrets": True}, str, supabase=project)
        yield Subject(
            switch,
            lambda: dict(server.secrets),
            server.secrets.__setitem__,
            lambda: setattr(server, "down", True),
        )
        await switch.aclose()


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """An application on loopback; gives its base URL."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def key_of(**fields: Any) -> KeyConfig:
    """A key with what a test does not care about filled in."""
    return KeyConfig.model_validate(
        {"name": "a", "place": "there", "key": "A", "source": "s", "target": "t", **fields}
    )


def _merged(into: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    found = into if isinstance(into, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found
