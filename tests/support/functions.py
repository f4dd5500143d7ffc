"""Functions of both sides as the contract suite wants them: one world for each way to run them."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from failback.lab.processes import free_port
from failback.lab.runtimes import FunctionRuntime
from failback.models.common import Side
from failback.providers.functions import FakeFunctionFleet, FakePlatform, SidedFunctionFleet
from failback.providers.functions.asking import FunctionAsker
from failback.providers.functions.platform import DeployedFunction
from failback.providers.functions.runtime import RuntimeFunctions
from failback.providers.functions.supabase import SupabaseFunctions
from failback.sections.functions import FunctionsConfig
from failback.system_ports import FunctionFleet

from support.management import serving

NAMES = ("hello", "share-link")
GHOST = "ghost"
"""Listed, and deployed nowhere."""
TOKEN = "the runtimes' token"
FUNCTIONS = Path(str(files("failback.lab").joinpath("deno", "functions")))
_PROBES = {
    "hello": {"body": {"name": "failback"}, "contains": "Hello failback!"},
    "share-link": {"body": {"path": "a.txt"}, "contains": "signature"},
    GHOST: {},
}


@dataclass
class World:
    """Functions of both sides.

    Attributes:
        fleet: what is tried. `hello` is enabled on both sides; `share-link` may be off on the
            source.
        enabled: whether a function is enabled on a side, asked past the fleet.
    """

    fleet: FunctionFleet
    enabled: Callable[[str, Side], bool]


def functions_config(**changes: Any) -> FunctionsConfig:
    """The section `functions` with everything that it has to have."""
    side = {"platform": "runtime", "admin_token": "x"}
    usual = {
        "source": {**side, "url": "http://source.test", "admin_url": "http://source.test/_admin"},
        "target": {**side, "url": "http://target.test", "admin_url": "http://target.test/_admin"},
        "deployed": [
            {"name": name, "probe": _PROBES[name], "budget_seconds": 20.0}
            for name in (*NAMES, GHOST)
        ],
    }
    return FunctionsConfig.model_validate({**usual, **changes})


def fake_platform(place: str, names: Mapping[str, bool]) -> FakePlatform:
    """A platform in memory with functions of one code, enabled or not."""
    return FakePlatform(
        place,
        {name: DeployedFunction(name, enabled, "source:abc") for name, enabled in names.items()},
    )


def answering(platforms: Mapping[Side, FakePlatform]) -> httpx.MockTransport:
    """Answers a probe as a function does that is enabled on its side's platform."""

    def answer(request: httpx.Request) -> httpx.Response:
        side = Side(request.url.host.partition(".")[0])
        function = platforms[side].functions.get(request.url.path.strip("/"))
        if function is None or not function.enabled:
            return httpx.Response(503, json={"code": "function_disabled"})
        return httpx.Response(200, text="Hello failback! signature")

    return httpx.MockTransport(answer)


@asynccontextmanager
async def fake_world(_folder: Path) -> AsyncIterator[World]:
    fleet = FakeFunctionFleet((*NAMES, GHOST), missing=(GHOST,))
    yield World(fleet, lambda name, side: name in fleet.enabled[side])


@asynccontextmanager
async def platforms_world(_folder: Path) -> AsyncIterator[World]:
    platforms = {
        Side.SOURCE: fake_platform("a source", {"hello": True, "share-link": False}),
        Side.TARGET: fake_platform("a target", dict.fromkeys(NAMES, True)),
    }
    config = functions_config()
    fleet = SidedFunctionFleet(
        config,
        source=platforms[Side.SOURCE],
        target=platforms[Side.TARGET],
        asker=FunctionAsker(config, answering(platforms)),
    )
    yield World(fleet, lambda name, side: platforms[side].functions[name].enabled)
    await fleet.aclose()


@asynccontextmanager
async def supabase_world(folder: Path) -> AsyncIterator[World]:
    """The source is a project behind the stand-in, held to the published description."""
    platforms = {
        Side.SOURCE: fake_platform("the project", dict.fromkeys(NAMES, True)),
        Side.TARGET: fake_platform("a target", dict.fromkeys(NAMES, True)),
    }
    config = functions_config(source={"platform": "supabase", "url": "http://source.test"})
    async with serving(folder, FUNCTIONS) as management:
        fleet = SidedFunctionFleet(
            config,
            source=SupabaseFunctions(management.client()),
            target=platforms[Side.TARGET],
            asker=FunctionAsker(config, answering(platforms)),
        )
        yield World(fleet, lambda name, side: platforms[side].functions[name].enabled)
        await fleet.aclose()


@contextlib.contextmanager
def runtimes_in(folder: Path) -> Iterator[dict[Side, FunctionRuntime]]:
    """A Deno runtime a side, without a product."""
    both = {
        side: FunctionRuntime(
            side,
            folder / side.value,
            port=free_port(),
            product_url=f"http://127.0.0.1:{free_port()}",
            token=TOKEN,
            values={"PRODUCT_KEY": "a key", "LINK_KEY": "another"},
            log=folder / f"{side.value}.log",
        )
        for side in Side
    }
    try:
        for runtime in both.values():
            runtime.launch()
        for runtime in both.values():
            runtime.wait_ready()
        yield both
    finally:
        for runtime in both.values():
            runtime.stop()


def config_of(both: Mapping[Side, FunctionRuntime], **changes: Any) -> FunctionsConfig:
    """The section `functions` over running runtimes, asked without a product before them."""
    sides = {
        side.value: {
            "platform": "runtime",
            "url": f"{runtime.url}/functions/v1",
            "admin_url": runtime.admin_url,
            "admin_token": TOKEN,
        }
        for side, runtime in both.items()
    }
    return functions_config(**{**sides, **changes})


def fleet_of(config: FunctionsConfig) -> SidedFunctionFleet:
    """The fleet over two runtimes."""
    return SidedFunctionFleet(
        config,
        source=RuntimeFunctions(Side.SOURCE, config.source, 5.0, pause_seconds=0.01),
        target=RuntimeFunctions(Side.TARGET, config.target, 5.0, pause_seconds=0.01),
        asker=FunctionAsker(config),
    )


@asynccontextmanager
async def runtimes_world(both: Mapping[Side, FunctionRuntime]) -> AsyncIterator[World]:
    """Both runtimes as a new lab has them."""
    for side, disabled in ((Side.SOURCE, "share-link"), (Side.TARGET, "")):
        for name in NAMES:
            _switch(both[side], name, enabled=name != disabled)
    fleet = fleet_of(config_of(both))
    yield World(fleet, lambda name, side: _is_enabled(both[side], name))
    await fleet.aclose()


def _switch(runtime: FunctionRuntime, name: str, *, enabled: bool) -> None:
    answer = httpx.put(
        f"{runtime.admin_url}/functions/{name}/enabled",
        json={"enabled": enabled},
        headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def _is_enabled(runtime: FunctionRuntime, name: str) -> bool:
    answer = httpx.get(
        f"{runtime.admin_url}/functions/{name}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False,
    )
    return bool(answer.json()["enabled"])
