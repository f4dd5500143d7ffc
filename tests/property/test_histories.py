"""Whatever the tables and whatever the transactions do: both sides end up equal, row by row."""

import time
from typing import Any

import pytest
from hypothesis import given

from support.generated.schemas import Schema, estate_of_every_kind, schemas
from support.generated.steps import History, histories
from support.generated.world import World

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(7200)]


def run(world: World, count: Any, schema: Schema, history: History) -> None:
    began = time.monotonic()
    with world.armed(schema) as estate:
        estate.run(history)
    count.examples += 1
    count.steps += len(history.steps)
    count.writes += estate.written
    count.comparisons += estate.compared
    count.seconds += time.monotonic() - began


@given(schema=schemas(), history=histories)
def test_tables_when_generated_with_their_history_then_both_sides_are_equal(
    world: World, count: Any, schema: Schema, history: History
) -> None:
    run(world, count, schema, history)


@given(history=histories)
def test_history_when_generated_for_tables_of_every_kind_then_both_sides_are_equal(
    world: World, count: Any, history: History
) -> None:
    run(world, count, estate_of_every_kind(), history)
