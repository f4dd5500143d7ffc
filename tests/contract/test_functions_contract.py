"""One suite for every way to run functions: in memory, real Deno runtimes, a Supabase project."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from failback.lab.runtimes import FunctionRuntime
from failback.models.common import Outcome, Side

from support.functions import (
    GHOST,
    NAMES,
    World,
    fake_world,
    platforms_world,
    runtimes_in,
    runtimes_world,
    supabase_world,
)

_WORLDS = {"fake": fake_world, "platforms": platforms_world, "supabase": supabase_world}


@pytest.fixture(scope="module")
def runtimes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Side, FunctionRuntime]]:
    with runtimes_in(tmp_path_factory.mktemp("runtimes")) as both:
        yield both


@pytest.fixture(params=[*_WORLDS, pytest.param("runtimes", marks=pytest.mark.servers)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "runtimes":
        making = runtimes_world(request.getfixturevalue("runtimes"))
    else:
        making = _WORLDS[request.param](tmp_path)
    async with making as made:
        yield made


async def test_names_then_they_come_in_the_order_of_the_configuration(world: World) -> None:
    assert await world.fleet.names() == (*NAMES, GHOST)


async def test_bring_back_then_it_is_off_on_the_target_and_answers_on_the_source(
    world: World,
) -> None:
    for name in NAMES:
        item = await world.fleet.bring_back(name)
        assert (item.name, item.outcome, item.changed) == (name, Outcome.SUCCEEDED, True), item
        assert not world.enabled(name, Side.TARGET)
        assert (await world.fleet.probe(name, Side.SOURCE)).outcome is Outcome.SUCCEEDED
        assert (await world.fleet.probe(name, Side.TARGET)).outcome is Outcome.FAILED


async def test_bring_back_when_repeated_then_changes_nothing_more(world: World) -> None:
    await world.fleet.bring_back("share-link")
    again = await world.fleet.bring_back("share-link")
    assert (again.outcome, again.changed) == (Outcome.SUCCEEDED, False)


async def test_put_back_then_it_answers_on_the_target_again(world: World) -> None:
    await world.fleet.bring_back("share-link")
    item = await world.fleet.put_back("share-link")
    assert (item.outcome, item.changed) == (Outcome.SUCCEEDED, True)
    for side in Side:
        assert (await world.fleet.probe("share-link", side)).outcome is Outcome.SUCCEEDED
    again = await world.fleet.put_back("share-link")
    assert (again.outcome, again.changed) == (Outcome.SUCCEEDED, False)


async def test_put_back_when_nothing_was_brought_back_then_changes_nothing(world: World) -> None:
    item = await world.fleet.put_back("hello")
    assert (item.outcome, item.changed) == (Outcome.SUCCEEDED, False)
    assert world.enabled("hello", Side.TARGET)


async def test_function_that_the_source_lacks_then_fails_with_its_cure(world: World) -> None:
    item = await world.fleet.bring_back(GHOST)
    assert (item.outcome, item.changed) == (Outcome.FAILED, False)
    assert "not deployed on the source" in item.detail
    assert "Deploy" in item.detail


@pytest.mark.parametrize("call", ["bring_back", "put_back", "probe"])
async def test_function_that_is_not_listed_then_fails(world: World, call: str) -> None:
    arguments = ("nobody", Side.SOURCE) if call == "probe" else ("nobody",)
    assert (await getattr(world.fleet, call)(*arguments)).outcome is Outcome.FAILED


async def test_status_then_it_names_each_and_changes_nothing(world: World) -> None:
    before = {(name, side): world.enabled(name, side) for name in NAMES for side in Side}
    report = await world.fleet.status()
    assert [item.name for item in report.items] == [*NAMES, GHOST]
    assert report.outcome is Outcome.FAILED
    assert report.items[-1].outcome is Outcome.FAILED
    assert not any(item.changed for item in report.items)
    assert before == {(name, side): world.enabled(name, side) for name in NAMES for side in Side}
