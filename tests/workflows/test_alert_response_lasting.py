"""AlertResponse over time: storms, restarts, stores that are away, what lasts and what ends."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from failback.errors import ApprovalRefusedError
from failback.lab.processes import free_port
from failback.lab.temporal import TemporalServer
from failback.models.audit import EntryKind
from failback.models.common import Level
from failback.models.messages import MessageKind
from failback.models.responses import ActionKind, CloseInvestigation
from failback.temporal import ids
from failback.temporal.responses import Responses
from workers.composition import WORKFLOWS, build_worker, workflow_runner

from support.answers import (
    CRITICAL,
    INVESTIGATE,
    WARNING,
    mode,
    recorded,
    tell,
    until,
    until_done,
    until_told,
    waiting_rollback,
)
from support.fake_estate import FakeEstate, MakeEstate, fake_estate
from support.responses import alert, resolved

pytestmark = pytest.mark.servers


async def test_storm_when_a_thousand_alerts_come_then_one_rollback_and_all_on_record(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= CRITICAL
    storm = [alert(number) for number in range(1000)]
    await asyncio.gather(
        *(tell(fakes, *storm[first : first + 100]) for first in range(0, 1000, 100)),
        *(tell(fakes, *storm[first : first + 50]) for first in range(0, 1000, 50)),
    )
    status = await until(fakes, lambda status: status.handling and status.handling.alerts == 1000)
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success
    entries = await recorded(fakes, EntryKind.ALERT, lambda entry: True, 1000)

    assert {entry.subject for entry in entries} == {one.key for one in storm}
    assert (status.received, status.firing, status.repeats) == (1000, 1000, 1000)
    assert len(status.automatic) == 1
    attributed = await recorded(fakes, EntryKind.ROLLBACK, lambda entry: "alerts" in entry.body)
    keys = [key for entry in attributed for key in entry.body["alerts"]]
    assert sorted(keys) == sorted(one.key for one in storm)
    assert len(await fakes.rollbacks.list()) == 1


async def test_store_when_away_then_the_alerts_own_word_decides_and_says_so(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.away = "no answer"
    await tell(fakes, alert(1, severity="info", labels={}))
    nothing = await until_done(fakes, ActionKind.NOTHING)
    assert nothing.decided is not None
    assert not nothing.decided.conclusive
    await tell(fakes, alert(2))
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    result = await fakes.rollbacks.result(status.handling.rollback_id)
    assert result.success
    assert "did not answer" in result.reason
    (entry, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "roll_back"
    )
    assert (entry.body["basis"], entry.body["conclusive"]) == ("alert", False)


async def test_warning_when_it_lasts_long_enough_later_then_acted_on_though_nobody_repeats_it(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    await tell(fakes, alert(1))
    await until_done(fakes, ActionKind.NOTHING)
    fakes.metrics.values |= WARNING
    assert (await waiting_rollback(fakes)).level is Level.DATA_SYNC


async def test_immediate_when_its_threshold_has_not_lasted_then_looked_at_when_it_has(
    make_estate: MakeEstate,
) -> None:
    soon = {"error_rate_critical": {"sustained_seconds": 3.0}}
    fakes = await make_estate(decision=mode("automatic", evaluate_seconds=3600, rules=soon))
    fakes.metrics.values |= CRITICAL
    fakes.metrics.since = datetime.now(UTC) - timedelta(seconds=1)
    await tell(fakes, alert(1))
    early = await until_done(fakes, ActionKind.NOTHING)
    assert early.decided is not None
    assert early.decided.rules == ()
    # Nobody repeats the alert, and the next ordinary look is an hour away.
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success


async def test_alerts_when_all_are_resolved_then_nobody_looks_any_more(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    one = alert(1)
    await tell(fakes, one)
    await until_done(fakes, ActionKind.NOTHING)
    await tell(fakes, resolved(one))
    status = await until(fakes, lambda status: status.firing == 0)
    assert status.received == 2
    await recorded(fakes, EntryKind.ALERT, lambda entry: entry.body["status"] == "resolved")
    asked = fakes.metrics.asked
    await tell(fakes, resolved(one))
    await until(fakes, lambda status: status.repeats == 1)
    assert fakes.metrics.asked <= asked + 1


async def test_investigate_when_decided_then_paused_until_a_person_closes_it(
    make_estate: MakeEstate,
) -> None:
    hook = {"pause_url": "http://127.0.0.1:1/pause"}
    fakes = await make_estate(decision=mode("automatic"), investigation=hook)
    fakes.metrics.values |= INVESTIGATE
    await tell(fakes, alert(1, severity="info"))
    status = await until(fakes, lambda status: status.investigation and status.investigation.paused)
    assert status.investigation is not None
    opened = status.investigation
    assert fakes.pause.paused == {opened.investigation_id}
    assert opened.rules == ("error_rate_investigate",)
    await until_told(fakes, MessageKind.INVESTIGATION_OPENED)
    responses = Responses(fakes.client, fakes.estate.estate)
    with pytest.raises(ApprovalRefusedError, match="Nobody known"):
        await responses.close_investigation(CloseInvestigation(who="mallory"))
    closed = await responses.close_investigation(
        CloseInvestigation(who="alice", comment="a crawler")
    )

    assert (closed.closed_by, closed.comment, closed.resumed) == ("alice", "a crawler", "resumed")
    assert fakes.pause.paused == set()
    (entry,) = await recorded(
        fakes, EntryKind.INVESTIGATION, lambda entry: entry.body["event"] == "closed"
    )
    assert entry.who == "alice"
    await until_done(fakes, ActionKind.NOTHING)
    assert (await responses.status()).investigation is None
    with pytest.raises(ApprovalRefusedError, match="No investigation is open"):
        await responses.close_investigation(CloseInvestigation(who="alice"))
    fakes.pause.fail("pause")
    await tell(fakes, alert(2))
    status = await until(fakes, lambda status: status.investigation and status.investigation.paused)
    assert status.investigation is not None
    assert status.investigation.paused.startswith("failed")


async def test_audit_when_its_store_is_away_then_no_rollback_waits_and_nothing_is_lost(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.audit.fail("append_all", times=None)
    fakes.metrics.values |= CRITICAL
    await tell(fakes, *(alert(number) for number in range(5)))
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success
    assert fakes.audit.entries == []
    fakes.audit.recover()
    await recorded(fakes, EntryKind.ALERT, lambda entry: True, 5)
    await recorded(fakes, EntryKind.ROLLBACK, lambda entry: entry.body["event"] == "ended")


async def test_worker_when_restarted_in_the_middle_then_no_verdict_changes(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(worker=False, decision=mode("automatic"))
    queue = fakes.estate.temporal.task_queue
    await tell(fakes, alert(1))
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        await until_done(fakes, ActionKind.NOTHING)
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1), alert(2))
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        waiting = await waiting_rollback(fakes)
        status = await until_done(fakes, ActionKind.JOIN)
    assert (status.received, status.repeats) == (2, 1)
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        again = await until(fakes, lambda status: status.handling)
        assert len(await fakes.rollbacks.list()) == 1
    assert again.handling is not None
    assert again.handling.rollback_id == waiting.rollback_id
    for workflow_id in (ids.alert_response_workflow(fakes.estate.estate), "rollback/"):
        history = await history_of(fakes, workflow_id)
        await Replayer(
            workflows=WORKFLOWS,
            data_converter=pydantic_data_converter,
            workflow_runner=workflow_runner(),
        ).replay_workflow(history)


async def history_of(fakes: FakeEstate, workflow_id: str) -> WorkflowHistory:
    if workflow_id.endswith("/"):
        workflow_id += fakes.estate.estate
    return await fakes.client.get_workflow_handle(workflow_id).fetch_history()


class ShortHistories(TemporalServer):
    """A server that suggests a fresh history after a few dozen events."""

    def command(self) -> list[str | Path]:
        limit = "limit.historyCount.suggestContinueAsNew=60"
        return [*super().command(), "--dynamic-config-value", limit]


async def test_response_when_its_history_is_long_then_goes_on_in_a_fresh_one_with_all_it_knows(
    tmp_path: Path,
) -> None:
    server = ShortHistories(tmp_path / "data", free_port(), free_port(), tmp_path / "log")
    server.start()
    try:
        async with fake_estate("long", server.address, decision=mode("automatic")) as fakes:
            handle = fakes.client.get_workflow_handle(ids.alert_response_workflow("long"))
            fakes.metrics.values |= WARNING
            await tell(fakes, alert(1))
            waiting = await waiting_rollback(fakes)
            first = (await handle.describe()).run_id
            deadline = time.monotonic() + 30
            while (await handle.describe()).run_id == first:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            await tell(fakes, alert(1), alert(2))
            status = await until(fakes, lambda status: status.received == 2)
            assert (status.repeats, status.firing) == (1, 2)
            assert status.handling is not None
            assert status.handling.rollback_id == waiting.rollback_id
            attributed = await recorded(
                fakes, EntryKind.ROLLBACK, lambda entry: "alerts" in entry.body, 2
            )
            assert [entry.subject for entry in attributed] == [waiting.rollback_id] * 2
    finally:
        server.stop()
