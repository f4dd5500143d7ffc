import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import openapi
from support.openapi import Description, Watch, WatchedTransport, described

_DOCUMENT = {
    "openapi": "3.0.0",
    "info": {"title": "things", "version": "1"},
    "servers": [{"url": "https://example.com/api"}],
    "paths": {
        "/things/{name}": {
            "post": {
                "security": [{"bearer": []}, {"unheard_of": []}],
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "array"}}},
                },
                "responses": {
                    "201": {
                        "description": "made",
                        "content": {
                            "application/json": {"schema": {"type": "object", "required": ["size"]}}
                        },
                    }
                },
            }
        }
    },
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
}


@pytest.fixture
def description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Description:
    (tmp_path / "things.json").write_text(json.dumps(_DOCUMENT))
    monkeypatch.setattr(openapi, "DESCRIPTIONS", tmp_path)
    return described.__wrapped__("things.json")


async def _post(
    watch: Watch, *, path: str = "/api/things/a", status: int = 201, **parts: Any
) -> None:
    answer = parts.pop("answer", {"size": 1})
    inner = httpx.MockTransport(lambda _request: httpx.Response(status, json=answer))
    request = {"json": [], "headers": {"Authorization": "Bearer x"}, **parts}
    async with httpx.AsyncClient(transport=WatchedTransport(inner, watch)) as client:
        await client.post(f"http://127.0.0.1{path}", **request)


async def test_watch_when_both_halves_conform_then_holds_and_knows_the_route(
    description: Description,
) -> None:
    watch = Watch(description)
    await _post(watch)
    watch.hold()
    assert watch.seen == {"POST /things/{name} 201"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"json": {"not": "a list"}}, "request POST"),
        ({"headers": {}}, "request POST"),
        ({"answer": {}}, "'size' is a required property"),
        ({"status": 404}, "answer 404"),
        ({"path": "/api/nothing"}, "nothing"),
    ],
)
async def test_watch_when_one_half_breaks_the_description_then_fails(
    description: Description, wrong: dict[str, object], told: str
) -> None:
    watch = Watch(description)
    await _post(watch, **wrong)
    assert any(told in violation for violation in watch.violations)
    with pytest.raises(AssertionError):
        watch.hold()


async def test_watch_when_a_status_is_known_to_be_unlisted_then_passes_it(
    description: Description,
) -> None:
    watch = Watch(description, unlisted=frozenset({404}))
    await _post(watch, status=404)
    watch.hold()


def test_watch_when_nothing_was_seen_then_fails(description: Description) -> None:
    with pytest.raises(AssertionError, match="nothing went over the wire"):
        Watch(description).hold()


def test_described_when_the_description_is_missing_then_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "DESCRIPTIONS", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="not beside this repository"):
        described.__wrapped__("things.json")
