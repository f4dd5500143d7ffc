"""Whatever is lost of capture is noticed, said, and made good by comparing both sides."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failback.errors import SafetyRuleError, SlotLostError
from failback.models.common import Outcome, Side
from failback.reverse_sync import arming, slots
from failback.reverse_sync.engine import ReverseSync

from support.losses import change_uncaptured, fill, slot_of, write_log
from support.pairs import Pair

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

NOTE = "CREATE TABLE note (id int PRIMARY KEY, body text)"


def drop_slot(pair: Any, side: Side = Side.TARGET) -> None:
    with pair.admin(side) as admin:
        admin.execute("SELECT pg_drop_replication_slot(%s)", [slot_of(pair)])


def make_slot(pair: Any) -> None:
    with pair.admin(Side.TARGET) as admin:
        admin.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot_of(pair)])


def marked(pair: Any) -> list[str]:
    """Tables that are not proven."""
    rows = pair.rows(
        Side.SOURCE, "SELECT name FROM failback.stream_table WHERE unproven <> '' ORDER BY 1"
    )
    return [name for (name,) in rows]


def test_a_recreated_slot_skipped_what_had_happened_between(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    fill(pair)
    engine.run_batch()
    drop_slot(pair)
    change_uncaptured(pair)
    make_slot(pair)
    with pair.target() as target:
        target.execute("UPDATE note SET body = 'captured by the new slot' WHERE id = 11")
    for _ in range(2):
        with pytest.raises(SlotLostError, match="made it anew"):
            engine.run_batch()
    with pytest.raises(SlotLostError):
        engine.drain(2)
    status = engine.status()
    assert status.capture_lost
    assert any("made it anew" in problem.problem for problem in status.problems)
    # Nothing was carried over: what the new slot tells is not all there is.
    assert pair.rows(Side.SOURCE, "SELECT body FROM note WHERE id = 11") == [("n",)]
    report = engine.arm()
    assert any("compared by checksum" in warning for warning in report.warnings)
    pair.assert_equal()
    assert marked(pair) == []
    assert engine.status().problems == ()


def test_arm_when_the_slot_was_lost_then_only_what_differs_is_carried_over_and_proved(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(NOTE, "CREATE TABLE other (id int PRIMARY KEY)")
    fill(pair)
    engine.run_batch()
    drop_slot(pair)
    with pytest.raises(SlotLostError, match="is gone from the target"):
        engine.run_batch()
    assert engine.status().slot_status == "missing"
    change_uncaptured(pair)
    with monkeypatch.context() as patch:
        patch.setattr(ReverseSync, "canary", lambda _: engine_canary())
        engine.arm()
    assert marked(pair) == ["failback.canary", "public.note", "public.other"]
    problems = {problem.table: problem for problem in engine.status().problems}
    assert "slot" in problems["public.note"].problem
    # Captured since, and changed in the same table: both come with the next batch.
    with pair.target() as target:
        target.execute("INSERT INTO note VALUES (6000, 'captured')")
    report = engine.run_batch()
    assert report.by_table["public.note"] <= 5
    assert report.rows <= 4
    assert "public.other" in report.compared
    assert report.caught_up
    assert marked(pair) == []
    pair.assert_equal()
    assert engine.run_batch().compared == ()


def engine_canary() -> Any:
    """A canary that did not fly, so that no batch ran."""
    from failback.models.sync import CanaryReport  # noqa: PLC0415 - for this one answer

    return CanaryReport(outcome=Outcome.SUCCEEDED)


def test_batch_when_a_table_still_differs_after_it_was_carried_over_then_the_mark_stays(
    pair: Any, armed: Armed
) -> None:
    engine = armed(NOTE)
    fill(pair, 10)
    engine.run_batch()
    drop_slot(pair)
    change_uncaptured(pair)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.body := 'spoiled'; RETURN NEW; END $$"
        )
        admin.execute(
            "CREATE TRIGGER spoil BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
        admin.execute("ALTER TABLE note ENABLE ALWAYS TRIGGER spoil")
    engine.arm()
    assert [problem.table for problem in engine.run_batch().stopped] == ["public.note"]
    assert engine.drain(2).outcome is not Outcome.SUCCEEDED
    assert marked(pair) == ["public.note"]
    assert any("still differs" in problem.problem for problem in engine.status().problems)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("DROP TRIGGER spoil ON note")
    assert pair.engine().drain(20).outcome is Outcome.SUCCEEDED
    assert marked(pair) == []
    pair.assert_equal()


def test_arm_when_it_crashed_after_a_loss_then_no_table_looks_proven(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(NOTE)
    fill(pair, 10)
    engine.run_batch()
    drop_slot(pair)
    change_uncaptured(pair)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for owner, name in ((arming, "_begin"), (slots, "create"), (arming, "_give_back")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, crash)
            with pytest.raises(KeyboardInterrupt):
                pair.engine().arm()
        assert "public.note" in marked(pair)
    assert pair.engine().arm().outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_drain_when_the_slot_is_lost_and_the_target_is_fenced_then_a_comparison_is_the_proof(
    pair: Any, armed: Armed
) -> None:
    engine = armed(NOTE)
    fill(pair)
    engine.run_batch()
    drop_slot(pair)
    change_uncaptured(pair)
    # While writes go on, nobody can say that all has come.
    with pytest.raises(SlotLostError):
        engine.drain(2)
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    with pytest.raises((SafetyRuleError, SlotLostError)):
        engine.lift_fence(Side.SOURCE)
    drained = engine.drain(30)
    assert drained.outcome is Outcome.SUCCEEDED
    assert "compared by checksum" in drained.detail
    pair.assert_equal()
    assert engine.status().capture_lost
    assert engine.lift_fence(Side.SOURCE).outcome is Outcome.SUCCEEDED


def test_batch_when_the_server_invalidated_the_slot_then_it_says_so_and_arming_mends_it(
    own_target: Pair,
) -> None:
    pair = own_target
    pair.both(NOTE)
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    fill(pair, 100)
    engine.run_batch()
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
        admin.execute("SELECT pg_reload_conf()")
    change_uncaptured(pair)
    write_log(pair, 128)
    with pytest.raises(SlotLostError, match="invalidated the slot"):
        engine.run_batch()
    status = engine.status()
    assert status.slot_status == "lost"
    assert status.capture_lost
    assert any("invalidated" in problem.problem for problem in status.problems)
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        admin.execute("SELECT pg_reload_conf()")
    assert engine.arm().outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.status().problems == ()


@pytest.mark.parametrize("capture", ["slot", "changelog", "diff"])
def test_batch_when_the_target_was_failed_over_then_it_is_noticed_and_compared_again(
    own_target: Pair, capture: str
) -> None:
    pair = own_target
    pair.both(NOTE)
    engine = pair.engine()
    assert engine.arm(capture).outcome is Outcome.SUCCEEDED
    fill(pair, 100)
    engine.drain(10)
    server = pair.databases.servers.target
    server.stop()
    signal_file = server.home / "data" / "standby.signal"
    signal_file.touch()
    owner = (server.home / "data").stat()
    os.chown(signal_file, owner.st_uid, owner.st_gid)
    server.start()
    with pair.admin(Side.TARGET) as admin:
        admin.execute("SELECT pg_promote()")
    change_uncaptured(pair)
    engine = pair.engine()
    with pytest.raises(SlotLostError, match="failed over or restored"):
        engine.drain(5)
    status = engine.status()
    assert status.capture_lost
    assert any("timeline is 2, not 1" in problem.problem for problem in status.problems)
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.drain(10).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


@pytest.mark.parametrize("capture", ["slot", "changelog"])
def test_batch_when_an_old_copy_of_the_target_came_back_then_it_is_noticed(
    own_target: Pair, capture: str
) -> None:
    pair = own_target
    pair.both(NOTE)
    engine = pair.engine()
    assert engine.arm(capture).outcome is Outcome.SUCCEEDED
    fill(pair, 100)
    engine.drain(10)
    server = pair.databases.servers.target
    data, copy = server.home / "data", server.home / "copy"
    server.stop()
    copied(data, copy)
    server.start()
    for number in range(3):
        with pair.target() as target:
            target.execute("INSERT INTO note VALUES (%s, repeat('x', 1000))", [9000 + number])
        engine = pair.engine()
        engine.run_batch()
    server.stop()
    shutil.rmtree(data)
    copy.rename(data)
    server.start()
    # However far its log has grown since.
    write_log(pair, 3)
    engine = pair.engine()
    with pytest.raises(SlotLostError, match="restored to an earlier state"):
        engine.run_batch()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.drain(10).outcome is Outcome.SUCCEEDED
    # The source follows the target that is live now, also in what that one never had.
    pair.assert_equal()


def copied(folder: Path, to: Path) -> None:
    """A folder with its owners."""
    shutil.copytree(folder, to)
    for path in (folder, *folder.rglob("*")):
        owner = path.stat()
        os.chown(to / path.relative_to(folder), owner.st_uid, owner.st_gid)


def test_batch_when_another_server_answers_then_it_is_noticed(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("UPDATE failback.stream SET system_identifier = 1")
    with pytest.raises(SlotLostError, match="another server"):
        engine.run_batch()
    assert engine.status().capture_lost
