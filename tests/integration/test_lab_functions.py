"""Functions of a whole lab: both sides' runtimes behind their products, and the platform's API."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from failback.config import load
from failback.lab.channel import ask
from failback.models.common import Side
from failback.providers.supabase import open_management

from support.lab_run import command, command_here
from support.products import signed_up

pytestmark = pytest.mark.servers


class Lab:
    """A lab that is up, and its command line."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts
        self.config = Path(facts["config"])

    def functions(self, *words: str) -> tuple[int, dict[str, str]]:
        """`failback functions …`: the exit code, and each item's outcome by its name."""
        answer = command_here("--config", str(self.config), "functions", *words, "--json")
        return answer.code, {item["name"]: item["outcome"] for item in answer.facts["items"]}

    def client(self, url: str) -> httpx.Client:
        headers = {"apikey": self.facts["product"]["anon_key"]}
        return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20)

    def command(self, name: str, **words: str) -> None:
        ask(self.folder, {"command": name, **words})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("functions")
    folder.chmod(0o755)
    up = command("lab", "up", "--dir", str(folder / "lab"), "--json", seconds=150)
    assert up.code == 0, up
    try:
        yield Lab(folder / "lab", up.facts)
    finally:
        command("lab", "down", "--dir", str(folder / "lab"), "--purge")


@pytest.mark.parametrize("side", list(Side))
def test_functions_when_a_customer_asks_a_side_then_they_answer_from_its_own_data(
    lab: Lab, side: Side
) -> None:
    with lab.client(lab.facts[side.value]["product_url"]) as client:
        assert client.post("/functions/v1/hello", json={"name": "Ada"}).json() == {
            "message": "Hello Ada!"
        }
        asked = {"query": "Why does a duck float?"}
        assert client.post("/functions/v1/ai-query", json=asked).status_code == 401
        signed_up(client, f"ada-{side.value}@example.org")
        document = {"title": "Ducks", "body": "Bread sinks. A duck does float. So do apples."}
        assert client.post("/rest/v1/documents", json=document).status_code == 201
        answer = client.post("/functions/v1/ai-query", json=asked)
        assert answer.json()["answer"] == "A duck does float."
        assert answer.json()["sources"][0]["title"] == "Ducks"
        assert client.post("/functions/v1/nobody").status_code == 404
        counted = client.get("/metrics").text
    assert "ai_query_attempts_total 2.0" in counted
    assert "ai_query_success_total 1.0" in counted


def test_command_line_when_both_sides_have_the_same_then_status_is_well(lab: Lab) -> None:
    code, items = lab.functions("status")
    assert (code, set(items.values())) == (0, {"succeeded"})
    assert set(items) == {"ai-query", "hello", "share-link"}


def test_command_line_when_a_function_is_off_on_the_source_then_its_probe_fails(lab: Lab) -> None:
    assert lab.functions("probe", "--side", "target")[0] == 0
    code, items = lab.functions("probe")
    assert (code, items["share-link"], items["hello"]) == (1, "failed", "succeeded")
    assert lab.functions("probe", "hello") == (0, {"hello": "succeeded"})


def test_fault_when_a_function_expires_then_it_does_not_answer_until_it_is_healed(
    lab: Lab,
) -> None:
    lab.command("break", fault="expire-function", side="target")
    try:
        code, items = lab.functions("probe", "ai-query", "--side", "target")
        assert (code, items) == (1, {"ai-query": "failed"})
        assert lab.functions("probe", "ai-query")[0] == 0
    finally:
        lab.command("heal", fault="expire-function")
    assert lab.functions("probe", "ai-query", "--side", "target")[0] == 0


def test_platform_when_a_secret_or_a_key_is_set_there_then_the_source_has_it(lab: Lab) -> None:
    async def set_them() -> tuple[str, str]:
        platform = open_management(load(lab.config))
        try:
            before = {secret.name for secret in await platform.secrets()}
            assert before == {"PRODUCT_KEY", "LINK_KEY"}
            await platform.put_secrets({"LINK_KEY": "another one"})
            key = await platform.create_signing_key("ES256")
            functions = {function.slug for function in await platform.functions()}
            assert functions == {"ai-query", "hello", "share-link"}
            return key.id, (await platform.project()).status
        finally:
            await platform.aclose()

    key, status = asyncio.run(set_them())
    assert status == "ACTIVE_HEALTHY"
    code, items = lab.functions("status")
    assert (code, items["share-link"], items["hello"]) == (1, "failed", "succeeded")
    with lab.client(lab.facts["source"]["product_url"]) as client:
        trusted = client.get("/auth/v1/.well-known/jwks.json").json()["keys"]
    assert [one["kid"] for one in trusted] == [key]
