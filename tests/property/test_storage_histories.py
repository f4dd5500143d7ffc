"""Whatever the target does while syncs run and die: both sides end up equal.

Writes and deletes come between any two requests of a sync, the server's clock ticks in whole
seconds as S3's does, and a sync may be killed before any request, which is after the one before.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from failback.models.common import Outcome, Side
from failback.models.storage import ObjectHead

from support.object_pairs import TARGET, FakePair, in_memory

KEYS = ("a", "a/b", "a!", "ä", "large")
OWN = "never on the target"


class Killed(BaseException):
    """What ends a sync in the middle."""


@dataclass(frozen=True)
class Step:
    """What the target's product does, and how much later the next thing happens."""

    key: str
    body: bytes | None
    cached: str
    seconds: int


steps = st.builds(
    Step,
    key=st.sampled_from(KEYS),
    body=st.one_of(st.none(), st.sampled_from([b"", b"1", b"2", b"x" * 25, b"y" * 25])),
    cached=st.sampled_from(["no-store", "max-age=60"]),
    seconds=st.sampled_from([0, 0, 1, 10]),
)


@dataclass(frozen=True)
class Round:
    """One sync: what happens before its requests, and at which of them it is killed."""

    before: list[Step]
    during: list[list[Step]]
    killed_at: int | None


rounds = st.builds(
    Round,
    before=st.lists(steps, max_size=4),
    during=st.lists(st.lists(steps, max_size=2), max_size=12),
    killed_at=st.one_of(st.none(), st.integers(0, 12)),
)


class World:
    """Two sides, a clock, and a product that writes on the target."""

    def __init__(self, folder: Path, *, versioned: bool) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.pair: FakePair = in_memory(folder, versioned=versioned, clock=lambda: self.now)
        self.pair.part_bytes = 10
        self.pair.put(Side.SOURCE, OWN, b"1")

    def act(self, step: Step) -> None:
        head = ObjectHead(size=0, etag="", content_type="text/plain", cache_control=step.cached)
        if step.body is None:
            self.pair.target.remove(TARGET, step.key)
        elif len(step.body) > self.pair.part_bytes:
            self.pair.target.remove(TARGET, step.key)
            upload = self.pair.target.begin_upload(TARGET, step.key, head)
            etag = self.pair.target.put_part(upload, 1, step.body)
            self.pair.target.complete_upload(upload, [etag], None)
        else:
            self.pair.put(Side.TARGET, step.key, step.body, head)
        self.now += timedelta(seconds=step.seconds)

    def run(self, one: Round) -> None:
        for step in one.before:
            self.act(step)
        requests, one_at_a_time = self._meddling(one), threading.Lock()

        def meddle(_call: str, _key: str) -> None:
            with one_at_a_time:
                self._unhooked(lambda: next(requests, None))

        self.pair.target.before = self.pair.source.before = meddle
        try:
            self.pair.sync().sync(deletes_accepted_by="mira")
        except Killed:
            pass
        finally:
            self._rest()

    def _meddling(self, one: Round) -> Iterator[None]:
        """What happens at each request, in turn."""
        number = 0
        while True:
            if number == one.killed_at:
                raise Killed
            for step in one.during[number] if number < len(one.during) else ():
                self.act(step)
            number += 1
            yield

    def _unhooked(self, act: Callable[[], object]) -> None:
        hooks = self.pair.target.before, self.pair.source.before
        self._rest()
        try:
            act()
        finally:
            self.pair.target.before, self.pair.source.before = hooks

    def _rest(self) -> None:
        self.pair.target.before = self.pair.source.before = lambda _call, _key: None


@settings(max_examples=60, deadline=None)
@given(
    versioned=st.booleans(),
    baseline=st.booleans(),
    history=st.lists(rounds, min_size=1, max_size=4),
)
def test_storage_when_the_target_goes_on_while_syncs_run_and_die_then_both_sides_end_equal(
    versioned: bool, baseline: bool, history: list[Round]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), versioned=versioned)
        if baseline:
            world.pair.sync().baseline()
        for one in history:
            world.run(one)
        report = world.pair.sync().sync(deletes_accepted_by="mira")
        source, target = (world.pair.contents(side) for side in (Side.SOURCE, Side.TARGET))
        assert source.pop(OWN, None) is not None
        assert source == target, report
        expected = Outcome.SUCCEEDED if baseline else Outcome.INCONCLUSIVE
        assert report.outcome is expected
        verified = world.pair.sync().verify(read_all=True)
        assert verified.outcome is expected, verified
        assert world.pair.source.uploads() == 0
