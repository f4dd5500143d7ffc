"""What is said of functions that differ, and of platforms that do not do as they are told."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from failback.cli.readiness.findings import Answer
from failback.cli.readiness.functions import findings_of
from failback.errors import MissingRightError, PlatformRefusedError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.system import Item
from failback.providers.functions import FakePlatform, SidedFunctionFleet
from failback.providers.functions.asking import FunctionAsker
from failback.providers.functions.platform import DeployedFunction
from failback.providers.functions.supabase import SupabaseFunctions
from failback.providers.supabase import SupabaseManagement
from failback.sections.functions import FunctionsConfig
from failback.sections.supabase import SupabaseConfig

from support.functions import answering, fake_platform, functions_config

RIGHT, WRONG = (hashlib.sha256(text).hexdigest() for text in (b"right", b"wrong"))


@dataclass
class Sides:
    """One function on two platforms in memory."""

    function: dict[str, Any] = field(default_factory=dict)
    source: FakePlatform = field(
        default_factory=lambda: fake_platform("a source", {"hello": False})
    )
    target: FakePlatform = field(default_factory=lambda: fake_platform("a target", {"hello": True}))
    transport: httpx.MockTransport | None = None

    @property
    def config(self) -> FunctionsConfig:
        return functions_config(deployed=[{"name": "hello", **self.function}])

    @property
    def fleet(self) -> SidedFunctionFleet:
        usual = answering({Side.SOURCE: self.source, Side.TARGET: self.target})
        asker = FunctionAsker(self.config, self.transport or usual)
        return SidedFunctionFleet(self.config, source=self.source, target=self.target, asker=asker)

    async def status(self) -> Item:
        return (await self.fleet.status()).items[0]


def refusing(call: str, error: Exception) -> Callable[[str], None]:
    def before(asked: str) -> None:
        if asked == call:
            raise error

    return before


@pytest.mark.parametrize(
    ("function", "source", "target", "outcome", "told"),
    [
        ({}, "source:a", "source:a", Outcome.SUCCEEDED, "source: disabled"),
        ({}, "source:a", "source:b", Outcome.FAILED, "other code on the source (source:a…)"),
        ({"code": "may_differ"}, "source:a", "source:b", Outcome.SUCCEEDED, ""),
        ({}, "eszip:a", "source:b", Outcome.INCONCLUSIVE, "write down under `pins`"),
        ({}, "", "", Outcome.INCONCLUSIVE, "the source says nothing"),
        (
            {"pins": {"source": "eszip:a", "target": "source:b"}},
            "eszip:a",
            "source:b",
            Outcome.SUCCEEDED,
            "",
        ),
        (
            {"pins": {"source": "eszip:a", "target": "source:b"}},
            "eszip:new",
            "source:b",
            Outcome.FAILED,
            "the source has eszip:new… where eszip:a… is pinned",
        ),
    ],
)
async def test_status_when_code_is_compared_then_says_whether_it_is_the_same_release(
    function: dict[str, Any], source: str, target: str, outcome: Outcome, told: str
) -> None:
    sides = Sides(function)
    sides.source.functions["hello"] = DeployedFunction("hello", enabled=False, digest=source)
    sides.target.functions["hello"] = DeployedFunction("hello", enabled=True, digest=target)
    item = await sides.status()
    assert item.outcome is outcome, item
    assert told in item.detail


@pytest.mark.parametrize(
    ("source", "target", "outcome", "told"),
    [
        ({"KEY": RIGHT}, {"KEY": RIGHT.upper()}, Outcome.SUCCEEDED, ""),
        ({"KEY": WRONG}, {"KEY": RIGHT}, Outcome.FAILED, "another value on the source"),
        ({}, {"KEY": RIGHT}, Outcome.FAILED, "secret KEY is not set on the source"),
        ({"KEY": RIGHT}, {}, Outcome.INCONCLUSIVE, "not set on the target"),
        ({"KEY": ""}, {"KEY": RIGHT}, Outcome.INCONCLUSIVE, "the source tells no digest"),
    ],
)
async def test_status_when_secrets_are_compared_then_says_what_is_wrong(
    source: dict[str, str], target: dict[str, str], outcome: Outcome, told: str
) -> None:
    sides = Sides({"secrets": ["KEY"]})
    sides.source.digests, sides.target.digests = source, target
    item = await sides.status()
    assert item.outcome is outcome, item
    assert told in item.detail
    assert RIGHT not in item.detail


@pytest.mark.parametrize(("told", "digest"), [(RIGHT, RIGHT), ("", ""), ("s3cret", "")])
async def test_secrets_when_the_project_tells_no_digest_then_nothing_is_taken_for_one(
    told: str, digest: str
) -> None:
    answer = httpx.Response(200, json=[{"name": "KEY", "value": told}])
    config = SupabaseConfig(ref="a" * 20, access_token="x")
    management = SupabaseManagement(config, httpx.MockTransport(lambda _request: answer))
    platform = SupabaseFunctions(management)
    assert await platform.secrets() == {"KEY": digest}
    await platform.aclose()


@pytest.mark.parametrize(("status", "enabled"), [("ACTIVE", True), ("THROTTLED", False)])
async def test_function_of_a_project_then_it_is_enabled_where_it_is_active(
    status: str, enabled: bool
) -> None:
    listed = [
        {"id": "1", "slug": "hello", "name": "hello", "status": status, "version": 7},
        {"id": "2", "slug": "gone", "name": "gone", "status": "REMOVED", "version": 1},
    ]
    config = SupabaseConfig(ref="a" * 20, access_token="x")
    answer = httpx.Response(200, json=listed)
    management = SupabaseManagement(config, httpx.MockTransport(lambda _request: answer))
    platform = SupabaseFunctions(management)
    deployed = await platform.deployed()
    assert list(deployed) == ["hello"]
    assert deployed["hello"].enabled is enabled
    assert bool(deployed["hello"].cure) is not enabled
    with pytest.raises(PlatformRefusedError, match="no switch"):
        await platform.disable("hello")
    await platform.aclose()


async def test_status_when_the_target_has_more_functions_then_notes_them() -> None:
    sides = Sides()
    sides.target.functions["new"] = DeployedFunction("new", enabled=True)
    report = await sides.fleet.status()
    assert report.note == "on the target and not under functions.deployed: new"


async def test_check_then_each_function_is_a_question_and_none_is_called() -> None:
    sides = Sides()
    sides.transport = httpx.MockTransport(lambda _request: pytest.fail("a function was called"))
    sides.target.functions["new"] = DeployedFunction("new", enabled=True)
    found = await findings_of(sides.fleet)
    assert [(one.question, one.answer) for one in found] == [
        ("hello could go back", Answer.YES),
        ("every function of the target is listed", Answer.UNKNOWN),
    ]
    del sides.source.functions["hello"]
    refused = (await findings_of(sides.fleet))[0]
    assert refused.answer is Answer.NO
    assert "Deploy hello to a source" in refused.detail


async def test_status_when_the_target_lacks_one_then_inconclusive() -> None:
    sides = Sides()
    del sides.target.functions["hello"]
    item = await sides.status()
    assert item.outcome is Outcome.INCONCLUSIVE
    assert "not deployed on the target" in item.detail


async def test_status_when_the_platform_throttles_then_fails_with_its_cure() -> None:
    sides = Sides()
    sides.source.functions["hello"] = DeployedFunction(
        "hello", enabled=False, digest="source:abc", note="throttled", cure="See the limits."
    )
    item = await sides.status()
    assert item.outcome is Outcome.FAILED
    assert "throttled on the source. See the limits" in item.detail


async def test_bring_back_when_the_source_lacks_it_then_the_target_goes_on_serving() -> None:
    sides = Sides()
    del sides.source.functions["hello"]
    item = await sides.fleet.bring_back("hello")
    assert (item.outcome, item.changed) == (Outcome.FAILED, False)
    assert item.detail == "not deployed on the source, a source. Deploy hello to a source."
    assert sides.target.functions["hello"].enabled


@pytest.mark.parametrize(
    "error", [UnreachableError("the target is away"), MissingRightError("not yours to switch")]
)
async def test_bring_back_when_the_target_does_not_obey_then_the_source_serves_all_the_same(
    error: Exception,
) -> None:
    sides = Sides()
    sides.target.before = refusing("disable", error)
    item = await sides.fleet.bring_back("hello")
    assert (item.outcome, item.changed) == (Outcome.INCONCLUSIVE, True)
    assert str(error) in item.detail
    assert sides.source.functions["hello"].enabled


async def test_bring_back_when_the_target_lacks_it_then_the_source_serves() -> None:
    sides = Sides()
    del sides.target.functions["hello"]
    item = await sides.fleet.bring_back("hello")
    assert item.outcome is Outcome.SUCCEEDED
    assert "not deployed on the target" in item.detail
    assert "nothing to enable" in (await sides.fleet.put_back("hello")).detail


async def test_bring_back_when_the_source_is_away_then_nothing_was_changed() -> None:
    sides = Sides()
    sides.source.before = refusing("deployed", UnreachableError("the source is away"))
    with pytest.raises(UnreachableError):
        await sides.fleet.bring_back("hello")
    assert sides.target.functions["hello"].enabled


async def test_bring_back_when_it_answers_badly_then_tells_what_may_be_why() -> None:
    sides = Sides({"secrets": ["KEY"], "probe": {"contains": "well"}})
    sides.source.digests, sides.target.digests = {"KEY": WRONG}, {"KEY": RIGHT}
    item = await sides.fleet.bring_back("hello")
    assert (item.outcome, item.changed) == (Outcome.FAILED, True)
    assert "'well' is not in the answer" in item.detail
    assert "secret KEY has another value" in item.detail


async def test_probe_when_it_takes_longer_than_its_budget_then_fails() -> None:
    sides = Sides({"budget_seconds": 0.01})

    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    sides.transport = httpx.MockTransport(never)
    item = await sides.fleet.probe("hello", Side.SOURCE)
    assert item.outcome is Outcome.FAILED
    assert item.detail == "on the source: no answer within 0.01 s"


async def test_probe_then_the_key_is_sent_and_never_told() -> None:
    sides = Sides()
    seen: list[httpx.Request] = []

    def echo(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500, text=f"who is {request.headers['apikey']}?")

    config = functions_config(
        source={
            "platform": "runtime",
            "url": "http://source.test/functions/v1/",
            "admin_url": "http://source.test",
            "admin_token": "x",
            "api_key": "the-key",
        },
        deployed=[{"name": "hello", "probe": {"path": "/deep?x=1", "body": {"a": 1}}}],
    )
    asker = FunctionAsker(config, httpx.MockTransport(echo))
    item = await asker.ask(config.deployed[0], Side.SOURCE)
    await asker.aclose()
    assert str(seen[0].url) == "http://source.test/functions/v1/hello/deep?x=1"
    assert seen[0].headers["Authorization"] == "Bearer the-key"
    assert item.detail == "on the source: HTTP 500 where 200 is expected: who is ***?"
    assert sides.source.functions["hello"].enabled is False


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": {"platform": "supabase", "url": "https://x.test"}}, "has no switch"),
        ({"target": {"platform": "runtime", "url": "https://x.test"}}, "admin_url and admin_token"),
        ({"deployed": [{"name": "a"}, {"name": "a"}]}, "function a is listed twice"),
        ({"deployed": [{"name": "a/b"}]}, "pattern"),
        ({"deployed": [{"name": "a", "probe": {"path": "b"}}]}, "begins with / or ?"),
        ({"source": {"platform": "supabase", "url": "x.test"}}, "begins with http"),
    ],
)
def test_section_that_does_not_fit_then_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told.replace("?", r"\?")):
        functions_config(**change)
