"""Arming installs and proves the reverse path; a refusal changes nothing; disarming undoes all."""

from typing import Any

import psycopg
import pytest

from failback.errors import SafetyRuleError, SchemaDriftError
from failback.models.common import Outcome, Side
from failback.reverse_sync import arming, slots
from failback.reverse_sync.engine import ReverseSync

from support.sync_objects import NOTE, Armed, objects

pytestmark = pytest.mark.servers


def test_arm_when_all_is_well_then_it_is_proved_and_the_source_is_fenced(pair: Any) -> None:
    pair.both(NOTE)
    engine = pair.engine()
    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED
    assert report.capture == "slot"
    assert report.tables == ("public.note",)
    assert report.canary is not None
    assert report.canary.outcome is Outcome.SUCCEEDED
    assert engine.fenced(Side.SOURCE)
    assert not engine.fenced(Side.TARGET)
    with (
        psycopg.connect(pair.databases.source_app_dsn) as product,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        product.execute("INSERT INTO note (body) VALUES ('split brain')")
    status = engine.status(canary=True)
    assert status.armed
    assert status.problems == ()
    assert status.warnings == ()
    assert status.lag_seconds == 0.0
    assert status.slot_status == "reserved"
    assert status.source_fenced is True
    assert status.target_fenced is False
    assert status.tables == ("public.note",)
    assert status.canary is not None
    assert status.canary.outcome is Outcome.SUCCEEDED


def test_arm_when_run_twice_then_it_changes_nothing(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    before, position = objects(pair), engine.status().position
    with pair.target() as target:
        target.execute("INSERT INTO note (body) VALUES ('between')")
    report = pair.engine().arm()
    assert report.outcome is Outcome.SUCCEEDED
    assert not any("copied whole" in warning for warning in report.warnings)
    assert objects(pair) == before
    assert engine.status().position.batch > position.batch
    pair.assert_equal()


def test_disarm_when_armed_then_both_sides_are_as_before(pair: Any) -> None:
    pair.both(NOTE)
    before = objects(pair)
    engine = pair.engine()
    engine.arm()
    assert objects(pair) != before
    removed = engine.disarm().removed
    assert any("slot" in name for name in removed)
    assert objects(pair) == before
    assert engine.disarm().removed == ()
    assert not engine.status().armed
    assert engine.arm().outcome is Outcome.SUCCEEDED


def test_disarm_when_a_rollback_is_not_over_then_it_is_refused(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    with pair.target() as target:
        target.execute("INSERT INTO note (body) VALUES ('only on the target')")
    engine.raise_fence(Side.TARGET, 1)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.disarm()
    engine.drain(5)
    assert engine.disarm().removed


@pytest.mark.parametrize("crashes_at", ["_publish", "_capture", "_begin", "create", "raise_fence"])
def test_arm_when_it_crashed_before_then_it_is_completed(
    pair: Any, monkeypatch: pytest.MonkeyPatch, crashes_at: str
) -> None:
    pair.both(NOTE)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    owner: Any = {"create": slots, "raise_fence": ReverseSync}.get(crashes_at, arming)
    with monkeypatch.context() as patch:
        patch.setattr(owner, crashes_at, crash)
        with pytest.raises(KeyboardInterrupt):
            pair.engine().arm()
    engine = pair.engine()
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.status().problems == ()
    with pair.target() as target:
        target.execute("INSERT INTO note (body) VALUES ('x')")
    engine.run_batch()
    pair.assert_equal()


def test_disarm_when_arming_crashed_then_nothing_is_left(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.both(NOTE)
    before = objects(pair)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(arming, "_begin", crash)
        with pytest.raises(KeyboardInterrupt):
            pair.engine().arm()
    pair.engine().disarm()
    assert objects(pair) == before


def test_arm_when_tables_are_added_and_removed_then_nothing_captured_is_lost(
    pair: Any, armed: Armed
) -> None:
    engine = armed(NOTE, "CREATE TABLE away (id int PRIMARY KEY)")
    pair.both("CREATE TABLE later (id int PRIMARY KEY, v text)")
    with pair.target() as target:
        target.execute("INSERT INTO later VALUES (1, 'before it was armed')")
        target.execute("INSERT INTO note (body) VALUES ('captured, not applied')")
    status = engine.status()
    assert {problem.table for problem in status.problems} == {"public.later"}
    changed = pair.engine(exclude=("public.away",))
    report = changed.arm()
    assert report.tables == ("public.later", "public.note")
    assert any("public.later" in warning for warning in report.warnings)
    with pair.target() as target:
        target.execute("INSERT INTO away VALUES (1)")
        target.execute("UPDATE later SET v = 'after'")
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.SOURCE, "SELECT * FROM later") == [(1, "after")]
    assert pair.rows(Side.SOURCE, "SELECT body FROM note") == [("captured, not applied",)]
    assert pair.rows(Side.SOURCE, "SELECT * FROM away") == []


def test_arm_when_a_table_was_made_anew_then_it_is_noticed_and_copied_whole(
    pair: Any, armed: Armed
) -> None:
    engine = armed("CREATE TABLE note (id int PRIMARY KEY, body text)")
    pair.run(
        Side.TARGET,
        "DROP TABLE note",
        "CREATE TABLE note (id int PRIMARY KEY, body text)",
        "INSERT INTO note VALUES (1, 'not captured')",
    )
    assert any("made anew" in problem.problem for problem in engine.status().problems)
    report = engine.arm()
    assert any("public.note" in warning for warning in report.warnings)
    engine.run_batch()
    pair.assert_equal()
    assert engine.status().problems == ()


def test_canary_when_the_target_is_fenced_then_it_is_inconclusive(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    engine.raise_fence(Side.TARGET, 1)
    assert engine.canary().outcome is Outcome.INCONCLUSIVE


def test_sequences_when_both_sides_have_given_out_values_then_the_source_is_beyond_both(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        NOTE,
        "CREATE SEQUENCE down INCREMENT -2 MINVALUE -500 MAXVALUE 0 START 0",
        "CREATE SEQUENCE small MAXVALUE 50",
        "CREATE SEQUENCE unused",
        "CREATE SEQUENCE preset",
        sequence_headroom=100,
    )
    with pair.target() as target:
        target.execute("SELECT setval('note_id_seq', 40), setval('down', -10), setval('small', 9)")
        target.execute("SELECT setval('preset', 500, false)")
    with pair.admin(Side.SOURCE) as source:
        source.execute("SELECT setval('unused', 7000)")
    assert engine.synchronise_sequences() == 4
    assert engine.synchronise_sequences() == 0
    assert pair.rows(
        Side.SOURCE,
        "SELECT nextval('note_id_seq'), nextval('down'), nextval('unused'), nextval('preset')",
    ) == [(141, -212, 7001, 600)]
    assert pair.rows(Side.SOURCE, "SELECT last_value FROM small") == [(50,)]


def test_arm_when_an_earlier_version_armed_then_it_goes_on_from_that_position(
    pair: Any, armed: Armed
) -> None:
    engine = armed(NOTE)
    engine.drain(30)
    engine.close()
    for side in Side:
        with pair.admin(side) as admin:
            admin.execute(
                "ALTER TABLE failback.stream"
                " DROP capture, DROP receiver_capture, DROP timeline, DROP applied,"
                " DROP acknowledged, DROP lost, DROP proved_fenced, DROP proved_raising"
            )
            admin.execute(
                "ALTER TABLE failback.stream_table"
                " DROP unproven, DROP stopped, DROP cure, DROP uncaptured"
            )
            admin.execute("DROP SEQUENCE failback.raisings, failback.witness")
    with pair.target() as target:
        target.execute("INSERT INTO note (body) VALUES ('between')")
    with pytest.raises(SchemaDriftError, match="earlier version") as refused:
        pair.engine().run_batch()
    assert "failback arm" in refused.value.cure
    # Neither may the fence of a version that does not count be in a later one's way.
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    with pair.admin(Side.TARGET) as admin:
        admin.execute("SELECT setval('failback.fence', 1)")

    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED
    assert not any("compared" in warning for warning in report.warnings)
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
