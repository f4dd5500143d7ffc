"""The storage activities on buckets in memory: ahead of the gap, inside it, and compared."""

import threading
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment

from activities.storage import StorageActivities
from failback.models.common import Outcome, Side
from failback.models.requests import StorageRequest

from support.object_pairs import FakePair, in_memory

REQUEST = StorageRequest(rollback_id="rb3-1", step="storage")


@pytest.fixture
def pair(tmp_path: Path) -> FakePair:
    pair = in_memory(tmp_path)
    for key in "abc":
        pair.put(Side.TARGET, key, key.encode())
    return pair


def test_objects_when_carried_ahead_and_then_settled_then_both_sides_are_equal(
    pair: FakePair,
) -> None:
    activities, environment = StorageActivities(pair.sync()), ActivityEnvironment()
    ahead = environment.run(activities.pre_sync_storage, REQUEST)
    assert (ahead.outcome, ahead.buckets[0].passes) == (Outcome.SUCCEEDED, 1)
    pair.delete(Side.TARGET, "a")
    pair.put(Side.TARGET, "d", b"d")
    settled = environment.run(activities.sync_storage, REQUEST)
    assert settled.outcome is Outcome.SUCCEEDED
    assert (settled.buckets[0].copied, settled.buckets[0].deleted) == (1, 1)
    assert pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)
    compared = environment.run(activities.verify_storage, REQUEST)
    assert (compared.outcome, compared.buckets[0].objects) == (Outcome.SUCCEEDED, 3)


def test_objects_when_most_are_gone_then_the_rule_is_named_and_a_name_lets_it_pass(
    pair: FakePair,
) -> None:
    for number in range(20):
        pair.put(Side.TARGET, f"many/{number}", b"1")
    activities, environment = StorageActivities(pair.sync()), ActivityEnvironment()
    environment.run(activities.pre_sync_storage, REQUEST)
    for number in range(20):
        pair.delete(Side.TARGET, f"many/{number}")
    with pytest.raises(ApplicationError, match="no-mass-delete") as refused:
        environment.run(activities.pre_sync_storage, REQUEST)
    assert (refused.value.type, refused.value.non_retryable) == ("SafetyRuleError", True)
    accepted = REQUEST.model_copy(update={"deletes_accepted_by": "mira"})
    report = environment.run(activities.sync_storage, accepted)
    assert (report.buckets[0].deleted, report.deletes_accepted_by) == (20, "mira")


def test_objects_when_the_step_is_cancelled_then_the_sync_ends_and_may_be_repeated(
    pair: FakePair,
) -> None:
    activities, environment = StorageActivities(pair.sync()), ActivityEnvironment()
    pair.source.before = lambda _call, _key: environment.cancel()
    with pytest.raises(CancelledError):
        environment.run(activities.sync_storage, REQUEST)
    pair.source.before = lambda _call, _key: None
    again = ActivityEnvironment().run(activities.sync_storage, REQUEST)
    assert again.outcome is Outcome.SUCCEEDED
    assert pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)


def test_objects_when_one_takes_long_then_the_activity_beats_all_the_same(pair: FakePair) -> None:
    activities, environment = StorageActivities(pair.sync()), ActivityEnvironment()
    beat = threading.Event()

    def slow(call: str, key: str) -> None:
        if (call, key) == ("put", "b"):
            beat.clear()
            assert beat.wait(20), "nothing was heard of it"

    def heard(*_: object) -> None:
        beat.set()

    environment.on_heartbeat = heard
    pair.source.before = slow
    assert environment.run(activities.sync_storage, REQUEST).outcome is Outcome.SUCCEEDED


def test_objects_when_the_estate_keeps_none_then_nothing_is_known() -> None:
    activities, environment = StorageActivities(None), ActivityEnvironment()
    for method in (activities.pre_sync_storage, activities.sync_storage):
        assert environment.run(method, REQUEST).outcome is Outcome.INCONCLUSIVE
    assert environment.run(activities.verify_storage, REQUEST).outcome is Outcome.INCONCLUSIVE
