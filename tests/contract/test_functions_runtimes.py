"""The lab's Deno runtimes through their admin API: faults, restarts, refusals."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from failback.errors import CredentialsError, PlatformMissingError, UnreachableError
from failback.lab.runtimes import EXPIRE_FUNCTION, WRONG_SECRETS, FunctionRuntime
from failback.models.common import Outcome, Side
from failback.providers.functions import SidedFunctionFleet
from failback.providers.functions.runtime import RuntimeFunctions

from support.functions import TOKEN, config_of, fleet_of, runtimes_in

pytestmark = pytest.mark.servers
DEPLOYED = [
    {"name": "share-link", "probe": {"body": {"path": "a"}}, "secrets": ["LINK_KEY"]},
    {"name": "ai-query", "probe": {"body": {"query": "why?"}, "status": 503}},
]
"""Without a product `ai-query` can only say that."""


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Side, FunctionRuntime]]:
    with runtimes_in(tmp_path_factory.mktemp("runtimes")) as both:
        yield both


@pytest.fixture
async def fleet(runtimes: dict[Side, FunctionRuntime]) -> AsyncIterator[SidedFunctionFleet]:
    fleet = fleet_of(config_of(runtimes, deployed=DEPLOYED))
    yield fleet
    await fleet.aclose()
    for runtime in runtimes.values():
        for fault in (EXPIRE_FUNCTION, WRONG_SECRETS):
            runtime.inflict(fault, on=False)


async def test_function_that_has_expired_then_it_fails_until_that_is_healed(
    runtimes: dict[Side, FunctionRuntime], fleet: SidedFunctionFleet
) -> None:
    assert (await fleet.bring_back("ai-query")).outcome is Outcome.SUCCEEDED
    runtimes[Side.SOURCE].inflict(EXPIRE_FUNCTION, on=True)
    expired = await fleet.bring_back("ai-query")
    assert expired.outcome is Outcome.FAILED
    assert "HTTP 410" in expired.detail
    runtimes[Side.SOURCE].inflict(EXPIRE_FUNCTION, on=False)
    assert (await fleet.bring_back("ai-query")).outcome is Outcome.SUCCEEDED


async def test_secrets_that_are_wrong_then_status_tells_digests_and_no_value(
    runtimes: dict[Side, FunctionRuntime], fleet: SidedFunctionFleet
) -> None:
    assert (await fleet.status()).outcome is Outcome.SUCCEEDED
    runtimes[Side.SOURCE].inflict(WRONG_SECRETS, on=True)
    report = await fleet.status()
    assert report.outcome is Outcome.FAILED
    assert "secret LINK_KEY has another value on the source" in report.detail
    assert "another" in runtimes[Side.SOURCE].secrets_file.read_text()
    assert "wrong LINK_KEY" not in report.detail


async def test_runtime_that_is_killed_then_it_knows_what_is_disabled_and_broken(
    runtimes: dict[Side, FunctionRuntime], fleet: SidedFunctionFleet
) -> None:
    await fleet.bring_back("share-link")
    await fleet.put_back("ai-query")
    runtimes[Side.TARGET].inflict(EXPIRE_FUNCTION, on=True)
    runtimes[Side.TARGET].stop(immediate=True)
    runtimes[Side.TARGET].start()
    assert "HTTP 503" in (await fleet.probe("share-link", Side.TARGET)).detail
    assert "HTTP 410" in (await fleet.probe("ai-query", Side.TARGET)).detail
    assert (await fleet.put_back("share-link")).changed


async def test_target_that_is_gone_then_the_function_answers_on_the_source_all_the_same(
    runtimes: dict[Side, FunctionRuntime], fleet: SidedFunctionFleet
) -> None:
    runtimes[Side.TARGET].stop(immediate=True)
    try:
        item = await fleet.bring_back("share-link")
    finally:
        runtimes[Side.TARGET].start()
    assert item.outcome is Outcome.INCONCLUSIVE
    assert "whether it is disabled on the target is not known" in item.detail
    assert (await fleet.bring_back("share-link")).outcome is Outcome.SUCCEEDED


async def test_admin_api_with_another_token_then_credentials_error(
    runtimes: dict[Side, FunctionRuntime],
) -> None:
    side = config_of(runtimes).source.model_copy(update={"admin_token": SecretStr("guessed")})
    platform = RuntimeFunctions(Side.SOURCE, side, 5.0)
    with pytest.raises(CredentialsError, match="admin_token") as raised:
        await platform.secrets()
    await platform.aclose()
    assert "guessed" not in str(raised.value)


async def test_function_that_is_not_there_then_platform_missing_error(
    runtimes: dict[Side, FunctionRuntime],
) -> None:
    platform = RuntimeFunctions(Side.SOURCE, config_of(runtimes).source, 5.0)
    with pytest.raises(PlatformMissingError, match="HTTP 404"):
        await platform.enable("nobody")
    await platform.aclose()


async def test_source_that_is_gone_then_unreachable_and_the_target_is_untouched(
    runtimes: dict[Side, FunctionRuntime], fleet: SidedFunctionFleet
) -> None:
    await fleet.put_back("share-link")
    runtimes[Side.SOURCE].stop(immediate=True)
    try:
        with pytest.raises(UnreachableError, match="the source's runtime"):
            await fleet.bring_back("share-link")
    finally:
        runtimes[Side.SOURCE].start()
    assert (await fleet.probe("share-link", Side.TARGET)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/_admin/functions", "guessed", 401),
        ("DELETE", "/_admin/functions/hello", TOKEN, 405),
        ("GET", "/_admin/elsewhere", TOKEN, 404),
        ("PUT", "/_admin/functions/hello/enabled", TOKEN, 400),
        ("PUT", "/_admin/functions/hello/enabled", "guessed", 401),
        ("POST", "/functions/v1/nobody", "guessed", 404),
        ("POST", "/functions/v1/../../_admin/functions", "guessed", 401),
    ],
)
def test_request_that_is_wrong_then_is_refused(
    runtimes: dict[Side, FunctionRuntime], method: str, path: str, token: str, status: int
) -> None:
    answer = httpx.request(
        method,
        f"{runtimes[Side.TARGET].url}{path}",
        json={"enabled": "maybe"} if method == "PUT" else None,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.status_code == status, answer.text
