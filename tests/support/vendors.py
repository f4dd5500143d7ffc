"""Vendors of notifications on this machine: they refuse what the real ones would refuse."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from aiohttp import web

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "xoxb-planted-slack-token"
API_KEY = "planted-statuspage-key"
PAGE = "kctbh9vrtdwd"


@dataclass
class Vendors:
    """Slack, PagerDuty, Statuspage and a receiver of webhooks, each under a path of its own.

    `statuses[name]` are answered first, with `headers`; then each answers as its vendor does.
    `hanging` names vendors that never answer.
    """

    bodies: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    requests: dict[str, list[tuple[dict[str, str], bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    statuses: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    headers: dict[str, str] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    slack_errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    url: str = ""

    async def seen(self, name: str, request: web.Request) -> web.Response | None:
        """Keep a request; the answer that a test has lined up, if any."""
        self.requests[name].append(
            ({key.lower(): value for key, value in request.headers.items()}, await request.read())
        )
        if name in self.hanging:
            await asyncio.Event().wait()
        if self.statuses[name]:
            return web.Response(status=self.statuses[name].pop(0), headers=self.headers)
        return None

    async def valid(self, schema: str, request: web.Request) -> Any:
        """A body that fits its vendor's schema; None where it does not."""
        body = await request.json()
        try:
            jsonschema.Draft202012Validator(SCHEMAS[schema]).validate(body)
        except jsonschema.ValidationError as error:
            self.problems.append(f"{schema}: {error.json_path}: {error.message[:200]}")
            return None
        if (
            schema == "slack_message"
            and len(json.dumps(body["blocks"], ensure_ascii=False)) > 16_000
        ):
            self.problems.append("msg_blocks_too_long")
            return None
        return body

    async def hook(self, request: web.Request) -> web.Response:
        early = await self.seen("webhook", request)
        if early:
            return early
        self.bodies["webhook"].append(await request.json())
        return web.Response(status=204)

    async def slack_hook(self, request: web.Request) -> web.Response:
        early = await self.seen("slack", request)
        if early:
            return early
        body = await self.valid("slack_message", request)
        if body is None or "channel" in body:
            return web.Response(status=400, text="invalid_payload")
        self.bodies["slack"].append(body)
        return web.Response(text="ok")

    async def slack_post(self, request: web.Request) -> web.Response:
        early = await self.seen("slack", request)
        if early:
            return early
        if self.slack_errors:
            return web.json_response({"ok": False, "error": self.slack_errors.pop(0)})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        body = await self.valid("slack_message", request)
        if body is None or not body.get("channel"):
            return web.json_response({"ok": False, "error": "invalid_blocks"})
        self.bodies["slack"].append(body)
        return web.json_response(
            {"ok": True, "channel": body["channel"], "ts": "1503435956.000247"}
        )

    async def pagerduty(self, request: web.Request) -> web.Response:
        early = await self.seen("pagerduty", request)
        if early:
            return early
        body = await self.valid("pagerduty_event", request)
        if body is None:
            return web.json_response({"status": "invalid event", "errors": ["no"]}, status=400)
        self.bodies["pagerduty"].append(body)
        said = {"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}
        return web.json_response(said, status=202)

    async def incident_list(self, request: web.Request) -> web.Response:
        early = await self.seen("statuspage", request)
        if early:
            return early
        if request.headers.get("authorization") != f"OAuth {API_KEY}":
            return web.json_response({"error": "Could not authenticate"}, status=401)
        return web.json_response(self.incidents[::-1])

    async def incident_write(self, request: web.Request) -> web.Response:
        early = await self.seen("statuspage", request)
        if early:
            return early
        if request.headers.get("authorization") != f"OAuth {API_KEY}":
            return web.json_response({"error": "Could not authenticate"}, status=401)
        body = await self.valid("statuspage_incident", request)
        if body is None or (request.method == "POST" and "name" not in body["incident"]):
            return web.json_response({"error": ["no"]}, status=422)
        self.bodies["statuspage"].append(body["incident"])
        if request.method == "POST":
            incident = {"id": f"inc{len(self.incidents)}", "incident_updates": []}
            self.incidents.append(incident)
        else:
            wanted = request.match_info["incident"]
            incident = next(one for one in self.incidents if one["id"] == wanted)
        incident.update(body["incident"])
        return web.json_response(incident, status=201 if request.method == "POST" else 200)


@asynccontextmanager
async def vendors() -> AsyncIterator[Vendors]:
    """The vendors, until the body ends."""
    made = Vendors()
    app = web.Application()
    incidents = f"/statuspage/v1/pages/{PAGE}/incidents"
    app.router.add_post("/planted-webhook-path", made.hook)
    app.router.add_post("/services/planted-slack-path", made.slack_hook)
    app.router.add_post("/slack/api/chat.postMessage", made.slack_post)
    app.router.add_post("/v2/enqueue", made.pagerduty)
    app.router.add_get(incidents, made.incident_list)
    app.router.add_post(incidents, made.incident_write)
    app.router.add_patch(f"{incidents}/{{incident}}", made.incident_write)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
