"""Validation: what each part of the product is looked at with, and the baseline's file."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from failback.errors import PerformanceBaselineError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.storage import ObjectHead
from failback.models.system import Item, ItemsReport
from failback.providers.checks import FakeServiceChecks
from failback.providers.storage import FakeEndpoint
from failback.providers.validation import CHECKS, EstateValidation, FakeSystemValidation
from failback.providers.validation.baseline import BaselineFile, Measurement, percentile
from failback.providers.validation.integrity import IntegrityLook
from failback.providers.validation.looking import Look
from failback.providers.validation.performance import Performance
from failback.providers.validation.storage_access import StorageLook
from failback.reverse_sync.connections import Servers
from failback.sections.servers import TablesConfig
from failback.sections.validation import PerformanceConfig, ValidationConfig

from support.settings_places import served

NOWHERE = Servers("postgresql://127.0.0.1:1/x", "postgresql://127.0.0.1:1/y", 2.0)
AT = datetime(2026, 3, 1, tzinfo=UTC)


class _Fine(IntegrityLook):
    """Data that hold what they must."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, TablesConfig(), (), 1.0)

    def look(self) -> Look:
        return Look(Outcome.SUCCEEDED, "all hold")


@dataclass
class Functions:
    """Functions of which some answer."""

    answers: dict[str, Outcome]

    async def names(self) -> tuple[str, ...]:
        return tuple(self.answers)

    async def probe(self, name: str, side: Side) -> Item:
        assert side is Side.SOURCE
        return Item(name=name, outcome=self.answers[name], detail="HTTP 500")


@dataclass
class Auth:
    """A bridge with one thing to say."""

    outcome: Outcome

    async def status(self) -> ItemsReport:
        return ItemsReport(items=(Item(name="keys", outcome=self.outcome, detail="other keys"),))


@dataclass
class Product:
    """Answers after so many seconds, or not well."""

    delay_seconds: float = 0.0
    status: int = 200
    keys: set[str] = field(default_factory=set)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Product"]:
        async def answer(request: web.Request) -> web.Response:
            self.keys.add(request.headers.get("apikey", ""))
            await asyncio.sleep(self.delay_seconds)
            return web.Response(status=self.status)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        async with served(app) as url:
            self.url = url
            yield self


def validation(folder: Path, **ports: Any) -> EstateValidation:
    return EstateValidation(
        ValidationConfig(timeout_seconds=5.0),
        ports.pop("integrity", _Fine()),
        BaselineFile(folder / "state" / "performance.json", "shop"),
        now=lambda: AT,
        **ports,
    )


def performance(product: Product, seconds: float = 5.0, **config: Any) -> Performance:
    fields = {"source_url": product.url, "paths": ["/a?b=1"], "requests": 8, **config}
    parsed = PerformanceConfig.model_validate(fields)
    return Performance(parsed, NOWHERE, {"apikey": "anon"}, seconds)


async def found(looked: EstateValidation) -> dict[str, tuple[Outcome, str]]:
    report = await looked.validate()
    await looked.aclose()
    assert tuple(item.name for item in report.items) == CHECKS
    return {item.name: (item.outcome, item.detail) for item in report.items}


async def test_nothing_configured_then_all_but_the_data_is_inconclusive(tmp_path: Path) -> None:
    seen = await found(validation(tmp_path))
    assert seen.pop("data_integrity")[0] is Outcome.SUCCEEDED
    assert {outcome for outcome, _ in seen.values()} == {Outcome.INCONCLUSIVE}
    assert all(detail for _, detail in seen.values())


async def test_everything_is_well_then_all_seven_pass(tmp_path: Path) -> None:
    endpoint = FakeEndpoint(Side.SOURCE)
    endpoint.make("files")
    endpoint.put("files", "a", b"x" * 5000, ObjectHead(size=0, etag=""), None)
    async with Product().running() as product:
        ports = {
            "checks": FakeServiceChecks(),
            "functions": Functions({"ai": Outcome.SUCCEEDED}),
            "auth": Auth(Outcome.SUCCEEDED),
            "storage": StorageLook(endpoint, [("files", "")]),
            "performance": performance(product, slack_ms=5000),
        }
        looked = validation(tmp_path, **ports)
        recorded = await looked.record_baseline()
        assert recorded.outcome is Outcome.SUCCEEDED
        seen = await found(looked)
        assert product.keys == {"anon"}
    assert {outcome for outcome, _ in seen.values()} == {Outcome.SUCCEEDED}, seen
    assert "p95" in seen["performance"][1]


@pytest.mark.parametrize(
    ("check", "name"),
    [
        ("database", "database_connectivity"),
        ("auth", "auth_flow"),
        ("journey", "user_journeys"),
        ("response_time", "performance"),
    ],
)
async def test_service_when_one_of_its_checks_fails_then_so_does_that_part(
    tmp_path: Path, check: str, name: str
) -> None:
    checks = FakeServiceChecks()
    checks.break_check(check, detail="it broke")
    seen = await found(validation(tmp_path, checks=checks))
    assert [one for one, (outcome, _) in seen.items() if outcome is Outcome.FAILED] == [name]
    assert "it broke" in seen[name][1]


async def test_service_when_it_hangs_then_its_parts_fail_in_time_and_others_are_looked_at(
    tmp_path: Path,
) -> None:
    checks = FakeServiceChecks()
    checks.hang("check")
    looked = EstateValidation(
        ValidationConfig(timeout_seconds=0.1),
        _Fine(),
        BaselineFile(tmp_path / "x", "shop"),
        checks=checks,
        functions=Functions({"ai": Outcome.SUCCEEDED}),
    )
    seen = await found(looked)
    for name in ("database_connectivity", "auth_flow", "user_journeys"):
        assert seen[name] == (Outcome.FAILED, "no answer within 0.1 s")
    assert seen["functions"][0] is Outcome.SUCCEEDED


async def test_functions_and_sessions_when_one_is_wrong_then_it_is_named(tmp_path: Path) -> None:
    fleet = Functions({"ai": Outcome.FAILED, "mail": Outcome.SUCCEEDED})
    seen = await found(validation(tmp_path, functions=fleet, auth=Auth(Outcome.INCONCLUSIVE)))
    assert seen["functions"] == (Outcome.FAILED, "ai: HTTP 500")
    assert seen["auth_flow"][0] is Outcome.INCONCLUSIVE
    assert "other keys" in seen["auth_flow"][1]


async def test_bucket_when_gone_or_unreadable_then_failed(tmp_path: Path) -> None:
    endpoint = FakeEndpoint(Side.SOURCE)
    endpoint.make("files")
    look = StorageLook(endpoint, [("files", ""), ("gone", "")])
    seen = await found(validation(tmp_path, storage=look))
    assert seen["storage_access"][0] is Outcome.FAILED
    assert "gone" in seen["storage_access"][1]
    endpoint.put("files", "a", b"x", ObjectHead(size=0, etag=""), None)

    def refuse(call: str, _key: str) -> None:
        if call == "get":
            raise UnreachableError("The endpoint is away.")

    endpoint.before = refuse
    seen = await found(validation(tmp_path, storage=StorageLook(endpoint, [("files", "")])))
    assert seen["storage_access"] == (Outcome.FAILED, "The endpoint is away.")


async def test_data_when_the_source_is_away_then_failed(tmp_path: Path) -> None:
    look = IntegrityLook(NOWHERE, TablesConfig(), (), 1.0)
    seen = await found(validation(tmp_path, integrity=look))
    assert seen["data_integrity"][0] is Outcome.FAILED
    assert "does not answer" in seen["data_integrity"][1]


async def test_performance_without_a_baseline_then_it_names_the_command(tmp_path: Path) -> None:
    async with Product().running() as product:
        seen = await found(validation(tmp_path, performance=performance(product)))
    assert seen["performance"][0] is Outcome.INCONCLUSIVE
    assert "failback validate --record-baseline" in seen["performance"][1]


async def test_performance_when_slower_than_allowed_then_failed_with_figures(
    tmp_path: Path,
) -> None:
    what = hashlib.sha256(b"/a?b=1").hexdigest()
    instant = measured(name="GET /a?b=1", what=what, p50_ms=0.0, p95_ms=0.0)
    BaselineFile(tmp_path / "state" / "performance.json", "shop").write([instant], AT)
    async with Product().running() as product:
        strict = performance(product, factor=3, slack_ms=0)
        seen = await found(validation(tmp_path, performance=strict))
    outcome, detail = seen["performance"]
    assert outcome is Outcome.FAILED
    assert "3 × baseline + 0 ms is allowed" in detail


async def test_performance_when_another_path_is_measured_then_it_has_no_baseline(
    tmp_path: Path,
) -> None:
    async with Product().running() as product:
        await validation(tmp_path, performance=performance(product)).record_baseline()
        other = performance(product, paths=["/other"])
        seen = await found(validation(tmp_path, performance=other))
    assert seen["performance"][0] is Outcome.INCONCLUSIVE
    assert "GET /other is not in the baseline" in seen["performance"][1]


async def test_baseline_when_something_fails_then_the_one_before_stays(tmp_path: Path) -> None:
    async with Product().running() as product:
        looked = validation(tmp_path, performance=performance(product))
        await looked.record_baseline()
        before = (tmp_path / "state" / "performance.json").read_text()
        product.status = 500
        report = await looked.record_baseline()
        assert (report.outcome, report.note) == (Outcome.FAILED, "nothing was kept")
        assert report.items[0].detail == "HTTP 500"
        assert (tmp_path / "state" / "performance.json").read_text() == before
        seen = await found(looked)
    assert seen["performance"][0] is Outcome.FAILED


async def test_performance_when_it_takes_too_long_then_failed(tmp_path: Path) -> None:
    async with Product(delay_seconds=30).running() as product:
        (item,) = (
            await validation(
                tmp_path, performance=performance(product, seconds=0.1)
            ).record_baseline()
        ).items
    assert (item.outcome, item.detail) == (Outcome.FAILED, "not measured within 0.1 s")


def measured(**fields: Any) -> Measurement:
    return Measurement.model_validate(
        {"name": "GET /", "what": "x", "count": 5, "p50_ms": 1.0, "p95_ms": 2.0, **fields}
    )


def test_baseline_then_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = BaselineFile(tmp_path / "new" / "b.json", "shop")
    assert file.read() is None
    file.write([measured()], AT)
    found = file.read()
    assert found is not None
    assert (found.recorded_at, found.measurements) == (AT, (measured(),))
    assert found.of(measured(p50_ms=9.0)) == measured()
    assert found.of(measured(what="y")) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no baseline"),
        ('{"estate": "shop"}', "is no baseline"),
        (
            json.dumps({"estate": "a", "recorded_at": AT.isoformat(), "measurements": []}),
            "estate a",
        ),
        (
            json.dumps(
                {"form": 2, "estate": "shop", "recorded_at": AT.isoformat(), "measurements": []}
            ),
            "form 2",
        ),
    ],
)
async def test_baseline_when_it_is_none_then_inconclusive_with_a_cure(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "state" / "performance.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(PerformanceBaselineError, match=problem):
        BaselineFile(path, "shop").read()
    async with Product().running() as product:
        seen = await found(validation(tmp_path, performance=performance(product)))
    assert seen["performance"][0] is Outcome.INCONCLUSIVE
    assert "Record it again" in seen["performance"][1]


def test_baseline_when_it_cannot_be_written_then_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PerformanceBaselineError, match="cannot be written"):
        BaselineFile(tmp_path / "file" / "b.json", "shop").write([measured()], AT)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_percentile_then_it_is_the_smallest_time_that_covers_the_share(
    times: list[float], share: float
) -> None:
    value = percentile(times, share)
    assert sum(time <= value for time in times) >= share * len(times)
    below = [time for time in times if time < value]
    assert len(below) < share * len(times) or not below


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "nothing is measured"),
        ({"paths": ["a"], "source_url": "http://x"}, "does not begin with /"),
        ({"paths": ["/a"]}, "need source_url"),
        ({"statements": [{"name": "a", "sql": "x"}] * 2}, "the same name"),
    ],
)
def test_section_when_it_does_not_fit_then_it_says_why(
    fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        PerformanceConfig.model_validate(fields)


async def test_fake_when_a_check_is_broken_then_it_is_told() -> None:
    fake = FakeSystemValidation()
    assert (await fake.validate()).outcome is Outcome.SUCCEEDED
    fake.break_check("storage_access")
    report = await fake.validate()
    assert [item.name for item in report.items] == list(CHECKS)
    assert report.outcome is Outcome.FAILED
    fake.mend_check("storage_access")
    assert (await fake.record_baseline()).outcome is Outcome.SUCCEEDED
    assert fake.recorded
