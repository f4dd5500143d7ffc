"""What keeps the last storage sync short: one pass ahead, versions only at need, quick looks."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.models.storage import DeletedKey, DifferenceKind
from failback.object_sync.working import as_they_come

from support.object_pairs import PLAIN, FakePair, in_memory

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock of both servers that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self) -> None:
        """So much later that what was written before has a time of its own."""
        self.now += timedelta(seconds=10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> FakePair:
    """Both sides have a, b and c since long ago, as a sync found."""
    pair = in_memory(tmp_path, versioned=True, clock=clock)
    for key in "abc":
        pair.put(Side.TARGET, key, key.encode())
    clock.later()
    pair.sync().sync()
    clock.later()
    pair.sync().sync()
    return pair


def looked_at(pair: FakePair) -> list[str]:
    """Keys that were asked for one by one on either side, from now on."""
    keys: list[str] = []
    for endpoint in (pair.source, pair.target):
        endpoint.before = lambda _call, key: keys.append(key)
    return keys


def versions_asked(pair: FakePair, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the target's versions are listed from now on."""
    asked: list[str] = []
    real = pair.target.deleted

    def deleted(bucket: str, prefix: str) -> Iterator[DeletedKey]:
        asked.append(bucket)
        return real(bucket, prefix)

    monkeypatch.setattr(pair.target, "deleted", deleted)
    return asked


def test_verify_when_quick_then_only_what_changed_since_is_looked_at(
    pair: FakePair, clock: Clock
) -> None:
    pair.put(Side.TARGET, "b", b"new")
    clock.later()
    keys = looked_at(pair)
    report = pair.sync().verify(quick=True)
    assert set(keys) == {"b"}
    (bucket,) = report.buckets
    assert (bucket.objects, bucket.by_listing, bucket.different) == (3, 2, 1)
    assert [one.key for one in report.differences] == ["b"]
    assert pair.sync().verify().buckets[0].by_listing == 0


def test_verify_when_quick_and_the_source_was_described_anew_then_it_is_found(
    pair: FakePair, clock: Clock
) -> None:
    other = PLAIN.model_copy(update={"content_type": "text/html"})
    pair.put(Side.SOURCE, "a", b"a", other)
    clock.later()
    (difference,) = pair.sync().verify(quick=True).differences
    assert (difference.key, difference.kind) == ("a", DifferenceKind.METADATA)


def test_verify_when_quick_and_a_delete_is_left_then_it_is_found(
    pair: FakePair, clock: Clock
) -> None:
    pair.delete(Side.TARGET, "a")
    clock.later()
    report = pair.sync().verify(quick=True)
    assert report.outcome is Outcome.FAILED
    assert [(one.key, one.kind) for one in report.differences] == [("a", DifferenceKind.EXTRA)]


def test_verify_when_quick_and_the_copy_is_young_then_it_is_looked_at(
    pair: FakePair, clock: Clock
) -> None:
    pair.put(Side.TARGET, "d", b"d")
    clock.later()
    pair.sync().sync()
    keys = looked_at(pair)
    report = pair.sync().verify(quick=True)
    assert (set(keys), report.outcome) == ({"d"}, Outcome.SUCCEEDED)
    assert report.buckets[0].by_listing == 3


@pytest.mark.parametrize(("fraction", "looks"), [(0, {"d"}), (1_000, set())])
def test_object_when_its_time_has_fractions_then_it_is_settled_within_a_second(
    pair: FakePair, clock: Clock, fraction: int, looks: set[str]
) -> None:
    clock.now += timedelta(microseconds=fraction)
    pair.put(Side.TARGET, "d", b"d")
    clock.now += timedelta(seconds=1)
    pair.sync().sync()
    keys = looked_at(pair)
    pair.sync().sync()
    assert set(keys) == looks


def test_sync_when_it_need_not_settle_then_one_pass_is_a_success(
    pair: FakePair, clock: Clock
) -> None:
    pair.put(Side.TARGET, "new", b"new")
    clock.later()
    report = pair.sync().sync(settle=False)
    (bucket,) = report.buckets
    assert (report.outcome, bucket.passes, bucket.copied) == (Outcome.SUCCEEDED, 1, 1)


def test_sync_when_it_need_not_settle_and_somebody_wrote_the_source_then_that_is_told(
    pair: FakePair, clock: Clock
) -> None:
    pair.put(Side.SOURCE, "a", b"somebody")
    pair.put(Side.TARGET, "a", b"ours")
    clock.later()
    assert pair.sync().sync(settle=False).outcome is Outcome.INCONCLUSIVE


def test_sync_when_the_inventory_explains_what_is_missing_then_no_versions_are_listed(
    pair: FakePair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = versions_asked(pair, monkeypatch)
    pair.delete(Side.TARGET, "a")
    clock.later()
    assert pair.sync().sync().buckets[0].deleted == 1
    assert asked == []


def test_sync_when_nothing_known_explains_what_is_missing_then_versions_are_listed(
    pair: FakePair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.inventory.unlink()
    asked = versions_asked(pair, monkeypatch)
    pair.delete(Side.TARGET, "a")
    clock.later()
    assert pair.sync().sync().buckets[0].deleted == 1
    assert asked


def test_sync_when_many_are_gone_and_versions_prove_it_then_nobody_has_to_accept(
    pair: FakePair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        pair.put(Side.TARGET, f"many/{number}", b"1")
    pair.sync().sync()
    for number in range(30):
        pair.delete(Side.TARGET, f"many/{number}")
    clock.later()
    asked = versions_asked(pair, monkeypatch)
    assert pair.sync().sync().buckets[0].deleted == 30
    assert asked


def test_inventory_when_an_earlier_version_made_it_then_what_it_knows_stays(
    pair: FakePair, clock: Clock
) -> None:
    with sqlite3.connect(pair.inventory) as earlier:
        earlier.execute("DROP INDEX unconfirmed")
        earlier.execute("ALTER TABLE known DROP COLUMN source_modified")
    earlier.close()
    pair.delete(Side.TARGET, "a")
    clock.later()
    report = pair.sync().sync()
    assert (report.outcome, report.buckets[0].deleted) == (Outcome.SUCCEEDED, 1)


def test_items_when_several_give_them_then_all_come() -> None:
    found = list(as_they_come({"a": range(50), "b": range(3), "c": ()}, lambda: None))
    assert sorted(item for name, item in found if name == "a") == list(range(50))
    assert sorted(item for name, item in found if name == "b") == [0, 1, 2]


def test_items_when_one_fails_then_its_error_ends_all() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise UnreachableError("gone", "wait")

    def endless() -> Iterator[int]:
        while True:
            yield 0

    with pytest.raises(UnreachableError):
        list(as_they_come({"endless": endless(), "failing": failing()}, lambda: None))


def test_large_object_when_the_sync_is_stopped_meanwhile_then_no_further_part_begins(
    tmp_path: Path,
) -> None:
    pair = in_memory(tmp_path)
    pair.part_bytes = 10
    pair.put(Side.TARGET, "large", b"a" * 995)
    stopped = threading.Event()
    parts: list[str] = []

    def held(call: str, _key: str) -> None:
        if call == "put_part":
            parts.append(call)
            assert stopped.wait(20)

    def stop(sentence: str) -> None:
        if "waiting" in sentence:
            # Whoever is held goes on only after the sync has been told to stop.
            threading.Timer(0.2, stopped.set).start()
            raise InterruptedError

    pair.source.before = held
    with pytest.raises(InterruptedError):
        pair.sync().sync(stop)
    assert 0 < len(parts) <= 8
    assert pair.source.uploads() == 1
    pair.source.before = lambda _call, _key: None
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED
    assert pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)
    assert pair.source.uploads() == 0
