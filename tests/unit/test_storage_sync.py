"""The storage sync on endpoints in memory: what is carried, kept, refused and told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from failback.errors import SafetyRuleError, StorageBusyError, StorageRefusedError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.storage import DifferenceKind, ObjectFate
from failback.object_sync.inventory import Inventory

from support.object_pairs import PLAIN, SOURCE, TARGET, FakePair, in_memory


@pytest.fixture
def pair(tmp_path: Path) -> FakePair:
    return in_memory(tmp_path)


@pytest.fixture
def shared(pair: FakePair) -> FakePair:
    """Both sides have a, b and c; a baseline says so."""
    for side in Side:
        for key in "abc":
            pair.put(side, key, key.encode())
    pair.sync().baseline()
    return pair


def same(pair: FakePair) -> bool:
    return pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)


def test_sync_when_objects_are_new_replaced_and_deleted_then_both_sides_are_equal(
    shared: FakePair,
) -> None:
    shared.put(Side.TARGET, "new", b"1")
    shared.put(Side.TARGET, "a", b"replaced")
    shared.delete(Side.TARGET, "b")
    report = shared.sync().sync()
    assert report.outcome is Outcome.SUCCEEDED
    (bucket,) = report.buckets
    assert (bucket.copied, bucket.deleted, bucket.passes) == (2, 1, 2)
    assert same(shared)
    assert shared.sync().verify().outcome is Outcome.SUCCEEDED


def test_sync_when_only_a_description_changed_then_it_is_carried(shared: FakePair) -> None:
    new = PLAIN.model_copy(update={"cache_control": "no-store", "metadata": {"owner": "jonas"}})
    shared.put(Side.TARGET, "a", b"a", new)
    verified = shared.sync().verify()
    (difference,) = verified.differences
    assert difference.kind is DifferenceKind.METADATA
    assert difference.explanation == "Different: cache control, metadata."
    assert shared.sync().sync().outcome is Outcome.SUCCEEDED
    assert same(shared)


def test_sync_when_described_anew_within_one_tick_of_the_clock_then_it_is_carried(
    tmp_path: Path,
) -> None:
    noon = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    pair = in_memory(tmp_path, clock=lambda: noon)
    pair.put(Side.TARGET, "a", b"a")
    pair.sync().sync()
    pair.put(Side.TARGET, "a", b"a", PLAIN.model_copy(update={"content_type": "text/html"}))
    assert pair.sync().sync().buckets[0].copied == 1
    assert same(pair)


def test_large_object_when_described_anew_while_its_parts_go_then_that_is_carried(
    pair: FakePair,
) -> None:
    pair.part_bytes = 10
    pair.put(Side.TARGET, "large", b"a" * 95)

    def meddle(call: str, key: str) -> None:
        if call == "complete_upload":
            pair.source.before = lambda _call, _key: None
            new = PLAIN.model_copy(update={"cache_control": "no-store"})
            pair.put(Side.TARGET, "large", b"a" * 95, new)

    pair.source.before = meddle
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED
    assert same(pair)


def test_sync_when_nothing_shows_that_the_target_had_an_object_then_it_stays(
    pair: FakePair,
) -> None:
    pair.put(Side.SOURCE, "old", b"1")
    for wins in (False, True):
        report = pair.sync().sync(target_wins=wins, deletes_accepted_by="mira")
        assert report.outcome is Outcome.INCONCLUSIVE
        assert [(note.key, note.fate) for note in report.notes] == [("old", ObjectFate.UNEXPLAINED)]
    assert pair.sync().verify().outcome is Outcome.INCONCLUSIVE
    assert list(pair.contents(Side.SOURCE)) == ["old"]


def test_sync_when_the_baseline_found_it_on_the_source_alone_then_it_is_the_sources_own(
    pair: FakePair,
) -> None:
    pair.put(Side.SOURCE, "own", b"1")
    (recorded,) = pair.sync().baseline().buckets
    assert recorded.source_own == 1
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED
    verified = pair.sync().verify()
    assert (verified.outcome, verified.buckets[0].own) == (Outcome.SUCCEEDED, 1)
    assert verified.buckets[0].source_digest == verified.buckets[0].target_digest
    assert list(pair.contents(Side.SOURCE)) == ["own"]


def test_sync_when_versions_show_a_delete_then_no_baseline_is_needed(tmp_path: Path) -> None:
    pair = in_memory(tmp_path, versioned=True)
    for side in (Side.SOURCE, Side.TARGET):
        pair.put(side, "a", b"1")
    pair.put(Side.SOURCE, "never had", b"1")
    pair.target.remove(TARGET, "never had")
    pair.delete(Side.TARGET, "a")
    report = pair.sync().sync()
    assert (report.buckets[0].deleted, report.buckets[0].unexplained) == (1, 1)
    assert list(pair.contents(Side.SOURCE)) == ["never had"]


def test_sync_when_somebody_wrote_the_source_then_it_stays_unless_the_target_wins(
    shared: FakePair,
) -> None:
    shared.put(Side.SOURCE, "a", b"foreign")
    shared.put(Side.TARGET, "a", b"live")
    shared.put(Side.SOURCE, "b", b"foreign")
    shared.delete(Side.TARGET, "b")
    report = shared.sync().sync()
    assert report.outcome is Outcome.INCONCLUSIVE
    assert {(note.key, note.fate) for note in report.notes} == {
        ("a", ObjectFate.CONFLICT),
        ("b", ObjectFate.CONFLICT),
    }
    assert sorted(shared.contents(Side.SOURCE)) == ["a", "b", "c"]
    assert shared.sync().verify().buckets[0].extra == 1
    assert shared.sync().sync(target_wins=True).outcome is Outcome.SUCCEEDED
    assert same(shared)


def test_sync_when_most_of_the_target_is_gone_then_a_person_is_asked(pair: FakePair) -> None:
    for number in range(40):
        pair.put(Side.TARGET, f"{number:02}", b"1")
    pair.sync().sync()
    for number in range(30):
        pair.delete(Side.TARGET, f"{number:02}")
    with pytest.raises(SafetyRuleError, match=r"30 of 40.*--accept-deletes"):
        pair.sync().sync()
    assert len(pair.contents(Side.SOURCE)) == 40
    report = pair.sync().sync(deletes_accepted_by="mira")
    assert (report.outcome, report.deletes_accepted_by) == (Outcome.SUCCEEDED, "mira")
    assert same(pair)


def test_sync_when_an_object_goes_while_it_is_copied_then_that_is_no_failure(
    pair: FakePair,
) -> None:
    pair.put(Side.TARGET, "a", b"1")
    pair.put(Side.TARGET, "b", b"1")

    def meddle(call: str, key: str) -> None:
        if (call, key) == ("get", "a"):
            pair.target.remove(TARGET, "a")

    pair.target.before = meddle
    report = pair.sync().sync()
    assert (report.outcome, report.buckets[0].failed) == (Outcome.SUCCEEDED, 0)
    assert list(pair.contents(Side.SOURCE)) == ["b"]


def test_sync_when_the_key_comes_back_before_its_delete_then_it_is_copied(
    shared: FakePair,
) -> None:
    shared.delete(Side.TARGET, "a")
    asked = []

    def meddle(call: str, key: str) -> None:
        if (call, key) == ("head", "a") and not asked:
            asked.append(key)
            shared.put(Side.TARGET, "a", b"again")

    shared.target.before = meddle
    assert shared.sync().sync().outcome is Outcome.SUCCEEDED
    assert same(shared)
    assert asked


def test_sync_when_a_newer_object_came_to_the_source_then_a_late_write_is_refused(
    shared: FakePair,
) -> None:
    shared.put(Side.TARGET, "a", b"live")

    def meddle(call: str, key: str) -> None:
        if (call, key) == ("put", "a"):
            shared.source.before = lambda _call, _key: None
            shared.put(Side.SOURCE, "a", b"newer")

    shared.source.before = meddle
    report = shared.sync().sync()
    assert report.notes[0].fate is ObjectFate.CONFLICT
    assert shared.contents(Side.SOURCE)["a"] != shared.contents(Side.TARGET)["a"]


def test_sync_when_the_target_never_rests_then_it_says_so_and_ends(shared: FakePair) -> None:
    numbers = iter(range(1000))

    def meddle(call: str, key: str) -> None:
        if call == "get":
            shared.put(Side.TARGET, "busy", b"%d" % next(numbers))

    shared.put(Side.TARGET, "busy", b"x")
    shared.target.before = meddle
    report = shared.sync().sync()
    assert (report.outcome, report.buckets[0].passes) == (Outcome.INCONCLUSIVE, 5)
    assert report.buckets[0].unsettled == 1


def test_sync_when_killed_after_a_write_then_its_own_write_is_no_conflict(
    shared: FakePair,
) -> None:
    shared.put(Side.TARGET, "a", b"first")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Inventory, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            shared.sync().sync()
    assert same(shared)
    shared.put(Side.TARGET, "a", b"second")
    assert shared.sync().sync().outcome is Outcome.SUCCEEDED
    assert same(shared)


def test_large_object_when_the_process_dies_then_the_next_one_goes_on(pair: FakePair) -> None:
    pair.part_bytes = 10
    pair.put(Side.TARGET, "large", bytes(range(95)))
    sent = []

    def meddle(call: str, key: str) -> None:
        if call == "put_part":
            sent.append(key)
            if len(sent) == 6:
                raise UnreachableError("gone")

    pair.source.before = meddle
    with pytest.raises(UnreachableError):
        pair.sync().sync()
    before = len(sent)
    pair.source.before = lambda call, key: sent.append(key) if call == "put_part" else None
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED
    assert len(sent) - before <= 5
    assert same(pair)
    assert pair.source.uploads() == 0


def test_large_object_when_replaced_while_its_parts_go_then_the_new_one_is_whole(
    pair: FakePair,
) -> None:
    pair.part_bytes = 10
    pair.put(Side.TARGET, "large", b"a" * 95)

    def meddle(call: str, key: str) -> None:
        if call == "complete_upload":
            pair.source.before = lambda _call, _key: None
            pair.put(Side.TARGET, "large", b"b" * 42)

    pair.source.before = meddle
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED
    assert same(pair)
    assert pair.source.uploads() == 0


def test_sync_when_the_server_refuses_one_object_then_the_others_are_carried(
    pair: FakePair,
) -> None:
    for key in "ab":
        pair.put(Side.TARGET, key, b"1")

    def meddle(call: str, key: str) -> None:
        if (call, key) == ("put", "a"):
            raise StorageRefusedError("The name is not allowed.")

    pair.source.before = meddle
    report = pair.sync().sync()
    assert (report.outcome, report.buckets[0].failed) == (Outcome.FAILED, 1)
    assert report.notes[0].explanation == "The name is not allowed."
    assert list(pair.contents(Side.SOURCE)) == ["b"]


def test_verify_when_sides_differ_then_every_kind_is_named_with_its_key(
    shared: FakePair,
) -> None:
    shared.put(Side.TARGET, "missing", b"1")
    shared.delete(Side.TARGET, "a")
    shared.put(Side.TARGET, "b", b"B")
    shared.put(Side.SOURCE, "who knows", b"1")
    report = shared.sync().verify()
    assert report.outcome is Outcome.FAILED
    assert [(one.key, one.kind) for one in report.differences] == [
        ("a", DifferenceKind.EXTRA),
        ("b", DifferenceKind.CONTENT),
        ("missing", DifferenceKind.MISSING),
        ("who knows", DifferenceKind.UNEXPLAINED),
    ]
    assert report.buckets[0].source_digest != report.buckets[0].target_digest


def test_verify_when_etags_of_uploads_differ_then_the_bytes_decide(pair: FakePair) -> None:
    pair.part_bytes = 10
    pair.put(Side.TARGET, "large", b"a" * 95)
    pair.sync().sync()
    assert pair.source.head(SOURCE, "large") != pair.target.head(TARGET, "large")
    assert pair.sync().verify().outcome is Outcome.SUCCEEDED
    assert pair.sync().verify(read_all=True).outcome is Outcome.SUCCEEDED


def test_status_when_nothing_can_tell_a_delete_then_the_cure_is_named(pair: FakePair) -> None:
    status = pair.sync().status()
    assert (status.outcome, status.recorded_at) == (Outcome.INCONCLUSIVE, None)
    assert "failback storage baseline" in status.buckets[1].cure
    pair.sync().baseline()
    pair.source.make(SOURCE, versioned=True)
    status = pair.sync().status()
    assert status.outcome is Outcome.SUCCEEDED
    assert status.buckets[0].conditional_writes
    assert status.recorded_at is not None


def test_status_when_a_bucket_is_missing_then_it_is_named(pair: FakePair) -> None:
    pair.buckets = (SOURCE, "lost")
    status = pair.sync().status()
    assert status.outcome is Outcome.FAILED
    assert "lost" in status.buckets[1].problem


def test_inventory_when_another_sync_holds_it_then_it_is_refused(pair: FakePair) -> None:
    held = Inventory(pair.inventory)
    with pytest.raises(StorageBusyError):
        pair.sync().sync()
    held.close()
    assert pair.sync().sync().outcome is Outcome.SUCCEEDED


def test_inventory_when_the_file_is_something_else_then_it_is_left_alone(pair: FakePair) -> None:
    pair.inventory.write_text("not a database, but somebody's letter" * 100)
    with pytest.raises(StorageRefusedError, match="no inventory"):
        pair.sync().sync()
    assert pair.inventory.read_text().startswith("not a database")
