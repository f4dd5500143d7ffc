"""What service checks keep, on the fake, on a small real server, and on the lab's product."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from aiohttp import web

from failback.lab.product.app import Product, Settings
from failback.lab.product.schema import install
from failback.models.common import Outcome, Side
from failback.models.traffic import CheckResult
from failback.ports import ServiceChecks
from failback.providers.checks import FakeServiceChecks, HttpServiceChecks

from support.shop import ANON, SERVICE, Shop, checks_config, serving


class Subject(NamedTuple):
    checks: ServiceChecks
    break_auth: Callable[[], Awaitable[object]]
    users: Callable[[], Awaitable[int]]


async def _fake(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Subject:
    fake = FakeServiceChecks()

    async def break_auth() -> None:
        fake.break_check("auth")

    async def users() -> int:
        return 0

    return Subject(fake, break_auth, users)


async def _shop(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Subject:
    shop = Shop()
    url = await stack.enter_async_context(serving(shop.application()))

    async def break_auth() -> None:
        shop.broken["/auth/v1/health"] = web.Response(status=503)

    async def users() -> int:
        return len(shop.users)

    return Subject(HttpServiceChecks(checks_config(url)), break_auth, users)


async def _product(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Subject:
    databases: Any = request.getfixturevalue("databases")
    folder: Path = request.getfixturevalue("tmp_path")
    admin = databases.admin_dsn(Side.TARGET)
    await asyncio.to_thread(install, admin, Side.TARGET)
    settings = Settings(
        side=Side.TARGET,
        dsn=databases.app_dsn(Side.TARGET),
        jwt_secret="a secret that is long enough for HS256",
        anon_key=ANON,
        service_key=SERVICE,
        files=folder,
    )
    url = await stack.enter_async_context(serving(Product(settings).application()))

    async def execute(statement: str) -> Any:
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
            return await connection.execute(statement.encode())

    async def break_auth() -> None:
        await execute("REVOKE ALL ON auth.users FROM product")

    async def users() -> int:
        cursor = await execute("SELECT count(*) FROM auth.users")
        return int((await cursor.fetchone())[0])

    dsn = databases.app_dsn(Side.TARGET)
    return Subject(HttpServiceChecks(checks_config(url, database_dsn=dsn)), break_auth, users)


Make = Callable[[pytest.FixtureRequest, AsyncExitStack], Awaitable[Subject]]


@pytest.fixture(
    params=[
        pytest.param(_fake, id="fake"),
        pytest.param(_shop, id="http"),
        pytest.param(_product, id="product-of-the-lab", marks=pytest.mark.servers),
    ]
)
def make(request: pytest.FixtureRequest) -> Make:
    if request.param is _product:
        request.getfixturevalue("databases")
    made: Make = request.param
    return made


@pytest.fixture
async def subject(request: pytest.FixtureRequest, make: Make) -> AsyncIterator[Subject]:
    async with AsyncExitStack() as stack:
        made = await make(request, stack)
        stack.push_async_callback(made.checks.aclose)
        yield made


def outcomes(results: tuple[CheckResult, ...]) -> dict[str, Outcome]:
    return {result.name: result.outcome for result in results}


class TestServiceChecksContract:
    async def test_checks_when_all_is_well_then_each_name_passes(self, subject: Subject) -> None:
        names = await subject.checks.names()
        results = await subject.checks.check()
        assert tuple(result.name for result in results) == names
        assert set(outcomes(results).values()) == {Outcome.SUCCEEDED}, results
        assert all(result.milliseconds > 0 for result in results)
        assert {"auth", "response_time", "journey"} <= set(names)

    async def test_checks_when_repeated_then_no_test_user_is_left(self, subject: Subject) -> None:
        for _ in range(2):
            await subject.checks.check()
        assert await subject.users() == 0

    async def test_checks_when_auth_is_broken_then_a_result_says_so(self, subject: Subject) -> None:
        await subject.break_auth()
        results = await subject.checks.check()
        assert outcomes(results)["auth"] is Outcome.FAILED
        assert outcomes(results)["response_time"] is Outcome.SUCCEEDED
        assert next(result for result in results if result.name == "auth").detail

    async def test_probes_when_auth_is_broken_then_only_auth_fails(self, subject: Subject) -> None:
        before = outcomes(await subject.checks.probe())
        await subject.break_auth()
        after = outcomes(await subject.checks.probe())
        assert set(before.values()) == {Outcome.SUCCEEDED}
        assert after == {**before, "auth": Outcome.FAILED}

    async def test_probes_when_run_then_nothing_is_written(self, subject: Subject) -> None:
        await subject.checks.probe()
        assert await subject.users() == 0
