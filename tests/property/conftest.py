"""How many histories are generated, and a line that says how many were."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings

from failback.lab.databases import PostgresPair

from support.generated.world import World

_ALL = tuple(phase for phase in Phase if phase is not Phase.explain)

settings.register_profile(
    "default",
    # The same examples each time: a run that fails here fails for what was changed.
    derandomize=True,
    max_examples=15,
    deadline=None,
    phases=_ALL,
    suppress_health_check=list(HealthCheck),
    database=None,
)
settings.register_profile(
    "long",
    max_examples=300,
    deadline=None,
    phases=_ALL,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@dataclass
class Count:
    """What the generated examples of this run came to."""

    examples: int = 0
    steps: int = 0
    writes: int = 0
    comparisons: int = 0
    seconds: float = 0.0


@pytest.fixture
def count(say: Callable[[str], None]) -> Iterator[Count]:
    """Told at the end of the run."""
    made = Count()
    yield made
    rate = made.examples / made.seconds if made.seconds else 0.0
    say(
        f"{made.examples} histories, {made.steps} steps, {made.writes} writes let through,"
        f" {made.comparisons} comparisons of both sides, {rate:.1f} a second"
    )


@pytest.fixture(scope="module")
def world(postgres_pair: PostgresPair) -> Iterator[World]:
    """Two databases that examples share."""
    made = World(postgres_pair)
    yield made
    made.close()
