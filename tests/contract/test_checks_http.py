"""What the real service checks see and say, on a small real server and a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from aiohttp import web

from failback.errors import ConfigurationError
from failback.models.common import Outcome, Side
from failback.models.traffic import CheckResult
from failback.providers.checks import HttpServiceChecks
from failback.sections.checks import ChecksConfig

from support.shop import ANON, SERVICE, Shop, checks_config, serving

SECRET_WORDS = (ANON, SERVICE, "database-password")


@asynccontextmanager
async def stalling(dsn: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to a server that lets bytes through only while the event is set."""
    server = psycopg.conninfo.conninfo_to_dict(dsn)
    flowing = asyncio.Event()
    flowing.set()

    handlers: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(str(server["host"]), int(str(server["port"])))
        handlers.add(asyncio.create_task(pump(reader, there[1])))
        handlers.add(asyncio.create_task(pump(there[0], writer)))

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    try:
        yield psycopg.conninfo.make_conninfo(dsn, port=port), flowing
    finally:
        proxy.close()
        await proxy.wait_closed()
        # Every client has gone: so will both directions of each connection.
        await asyncio.wait_for(asyncio.gather(*handlers), 10)


def outcomes(results: tuple[CheckResult, ...]) -> dict[str, Outcome]:
    return {result.name: result.outcome for result in results}


class TestHttpServiceChecks:
    @pytest.fixture
    def shop(self) -> Shop:
        return Shop()

    @pytest.fixture
    async def url(self, shop: Shop) -> AsyncIterator[str]:
        async with serving(shop.application()) as url:
            yield url

    async def test_journey_when_run_then_goes_a_customers_way(self, shop: Shop, url: str) -> None:
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        assert journey.outcome is Outcome.SUCCEEDED, journey.detail
        steps = [request for request in shop.requests if request[0] != "GET"]
        user = steps[-1][1]
        assert steps == [
            ("POST", "/auth/v1/signup"),
            ("POST", "/auth/v1/token"),
            ("POST", "/functions/v1/ai-query"),
            ("DELETE", user),
        ]
        assert user.startswith("/auth/v1/admin/users/id-of-failback-check-")
        assert ("GET", "/rest/v1/documents") in shop.requests
        assert shop.headers["POST /auth/v1/signup"]["apikey"] == ANON
        asked = shop.headers["POST /functions/v1/ai-query"]
        assert asked["Authorization"].startswith("Bearer token-of-failback-check-")
        assert shop.headers[f"DELETE {user}"]["Authorization"] == f"Bearer {SERVICE}"

    @pytest.mark.parametrize(
        ("path", "step"),
        [
            ("/auth/v1/token", "log in"),
            ("/rest/v1/documents", "read a document"),
            ("/functions/v1/ai-query", "run an AI query"),
        ],
    )
    async def test_journey_when_a_step_fails_then_named_and_the_user_is_removed(
        self, shop: Shop, url: str, path: str, step: str
    ) -> None:
        shop.broken[path] = web.json_response({"msg": "out of order"}, status=500)
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        assert journey.outcome is Outcome.FAILED
        assert journey.detail == f"{step}: HTTP 500 (out of order)"
        assert not shop.users

    async def test_journey_when_sign_up_is_refused_then_there_is_nobody_to_remove(
        self, shop: Shop, url: str
    ) -> None:
        shop.broken["/auth/v1/signup"] = web.json_response({"msg": "closed"}, status=403)
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        assert journey.detail == "create a test user: HTTP 403 (closed)"
        assert "DELETE" not in [method for method, _ in shop.requests]

    async def test_journey_when_the_answer_to_sign_up_is_lost_then_the_user_is_still_removed(
        self, shop: Shop, url: str
    ) -> None:
        shop.hanging.add("/auth/v1/signup")
        config = checks_config(url, timeout_seconds=0.2)
        journey = await _result(HttpServiceChecks(config), "journey")
        assert journey.outcome is Outcome.FAILED
        assert journey.detail == "create a test user: no answer within 0.4 s"
        assert [request for request in shop.requests if request[0] == "DELETE"]
        assert not shop.users

    async def test_journey_when_cancelled_then_the_user_is_removed_first(
        self, shop: Shop, url: str
    ) -> None:
        asked = asyncio.Event()
        shop.hanging.add("/functions/v1/ai-query")

        async def note() -> None:
            asked.set()

        shop.after["/functions/v1/ai-query"] = note
        checking = asyncio.create_task(_result(HttpServiceChecks(checks_config(url)), "journey"))
        await asyncio.wait_for(asked.wait(), 10)
        assert shop.users
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert not shop.users

    async def test_journey_when_cancelled_while_it_removes_then_the_removal_goes_on(
        self, shop: Shop, url: str
    ) -> None:
        removing, may_go_on = asyncio.Event(), asyncio.Event()

        async def wait_at_the_removal() -> None:
            (email,) = shop.users

            async def wait() -> None:
                removing.set()
                await may_go_on.wait()

            shop.before[f"/auth/v1/admin/users/id-of-{email}"] = wait

        shop.after["/functions/v1/ai-query"] = wait_at_the_removal
        checking = asyncio.create_task(_result(HttpServiceChecks(checks_config(url)), "journey"))
        await asyncio.wait_for(removing.wait(), 10)
        checking.cancel()
        await asyncio.wait([checking], timeout=0.05)
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert not shop.users

    async def test_journey_when_the_removal_fails_then_says_who_is_left(
        self, shop: Shop, url: str
    ) -> None:
        async def forbid() -> None:
            (email,) = shop.users
            shop.broken[f"/auth/v1/admin/users/id-of-{email}"] = web.Response(status=403)

        shop.after["/functions/v1/ai-query"] = forbid
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        (email,) = shop.users
        assert journey.outcome is Outcome.FAILED
        assert journey.detail == f"the test user {email} is left: HTTP 403"

    async def test_journey_when_an_answer_is_no_json_then_a_failed_result(
        self, shop: Shop, url: str
    ) -> None:
        shop.broken["/rest/v1/documents"] = web.Response(text="<html>")
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        assert journey.detail == "read a document: the answer is no JSON"

    async def test_response_time_when_slow_then_fails_with_the_limit(
        self, shop: Shop, url: str
    ) -> None:
        shop.delays["/rest/v1/"] = 0.05
        config = checks_config(url, response_time_ms=10)
        slow = await _result(HttpServiceChecks(config), "response_time")
        assert slow.outcome is Outcome.FAILED
        assert "limit of 10 ms" in slow.detail

    async def test_probe_when_the_server_hangs_then_ends_at_its_own_deadline(
        self, shop: Shop, url: str
    ) -> None:
        shop.hanging.add("/auth/v1/health")
        checks = HttpServiceChecks(checks_config(url, timeout_seconds=30), probe_seconds=0.2)
        results = {result.name: result for result in await checks.probe()}
        await checks.aclose()
        assert results["auth"].detail == "no answer within 0.2 s"
        assert results["api"].outcome is Outcome.SUCCEEDED

    async def test_probe_when_answered_late_but_in_time_then_passes(
        self, shop: Shop, url: str
    ) -> None:
        shop.delays["/auth/v1/health"] = 0.3
        checks = HttpServiceChecks(checks_config(url, timeout_seconds=0.1), probe_seconds=20)
        results = {result.name: result for result in await checks.probe()}
        await checks.aclose()
        assert results["auth"].outcome is Outcome.SUCCEEDED

    async def test_results_when_everything_is_away_then_hold_no_secret(self) -> None:
        checks = HttpServiceChecks(
            checks_config(
                "http://127.0.0.1:1",
                database_dsn="postgresql://product:database-password@127.0.0.1:1/shop",
            )
        )
        results = (*await checks.check(), *await checks.probe())
        await checks.aclose()
        assert set(outcomes(results).values()) == {Outcome.FAILED}
        for result in results:
            assert result.detail
            assert not any(word in result.detail for word in SECRET_WORDS)

    async def test_results_when_the_server_repeats_a_key_then_it_is_hidden(
        self, shop: Shop, url: str
    ) -> None:
        shop.broken["/auth/v1/signup"] = web.json_response({"msg": f"bad {SERVICE}"}, status=401)
        journey = await _result(HttpServiceChecks(checks_config(url)), "journey")
        assert journey.detail == "create a test user: HTTP 401 (bad ***)"

    async def test_names_when_parts_are_not_configured_then_left_out(self) -> None:
        checks = HttpServiceChecks(ChecksConfig(api_url="http://127.0.0.1:1", journey=None))
        assert await checks.names() == ("auth", "response_time")
        assert set(outcomes(await checks.probe())) == {"auth", "api"}
        await checks.aclose()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"service_key": None}, "service_key"),
            ({"database_dsn": "not a=connection string'"}, "database_dsn"),
        ],
    )
    def test_config_when_unusable_then_the_error_names_the_key(
        self, changes: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=words):
            HttpServiceChecks(checks_config("http://127.0.0.1:1", **changes))

    @pytest.mark.parametrize(
        "address", ["shop.example", "ftp://shop.example", "http://", "http://a:x"]
    )
    def test_address_when_it_is_none_then_a_configuration_error(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match="api_url"):
            HttpServiceChecks(checks_config(address))


@pytest.mark.servers
class TestDatabaseCheck:
    @pytest.fixture
    def dsn(self, databases: Any) -> str:
        made: str = databases.app_dsn(Side.TARGET)
        return made

    def checks(self, dsn: str) -> HttpServiceChecks:
        return HttpServiceChecks(
            ChecksConfig(api_url="http://127.0.0.1:1", journey=None, database_dsn=dsn)
        )

    async def test_probe_when_its_connection_was_ended_then_connects_again_and_passes(
        self, databases: Any, dsn: str
    ) -> None:
        checks = self.checks(dsn)
        details = [await _database_detail(checks) for _ in range(2)]
        with psycopg.connect(databases.admin_dsn(Side.TARGET), autocommit=True) as admin:
            ended = admin.execute(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                " WHERE application_name = 'failback checks'"
            ).fetchone()
        details.append(await _database_detail(checks))
        await checks.aclose()
        assert ended == (1,)
        assert details == ["connected and answered", "answered", "connected and answered"]

    @pytest.mark.parametrize("warm", [True, False], ids=["kept", "new"])
    async def test_probe_when_the_server_hangs_then_ends_at_its_deadline_and_recovers(
        self, dsn: str, warm: bool
    ) -> None:
        async with stalling(dsn) as (proxied, flowing):
            checks = self.checks(proxied)
            if warm:
                assert await _database_detail(checks) == "connected and answered"
            checks._probe_seconds = 0.2
            flowing.clear()
            # psycopg alone would wait for five seconds and more.
            async with asyncio.timeout(4):
                late = await _database_detail(checks)
            flowing.set()
            checks._probe_seconds = 20
            details = [await _database_detail(checks) for _ in range(2)]
            await checks.aclose()
        assert late == "no answer within 0.2 s"
        assert details == ["connected and answered", "answered"]

    async def test_check_when_the_password_is_wrong_then_the_detail_holds_none(
        self, dsn: str
    ) -> None:
        wrong = psycopg.conninfo.make_conninfo(dsn, password="database-password")
        checks = self.checks(wrong)
        result = await _result(checks, "database")
        assert result.outcome is Outcome.FAILED
        assert "password authentication failed" in result.detail
        assert "database-password" not in result.detail


async def _result(checks: HttpServiceChecks, name: str) -> CheckResult:
    try:
        (result,) = [result for result in await checks.check() if result.name == name]
        return result
    finally:
        await checks.aclose()


async def _database_detail(checks: HttpServiceChecks) -> str:
    (detail,) = [result.detail for result in await checks.probe() if result.name == "database"]
    return detail
