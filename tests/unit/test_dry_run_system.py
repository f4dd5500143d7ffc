"""A dry run of levels 3 and 4 touches nothing, and tells everything."""

import asyncio
from typing import Any

from failback.models.common import Outcome, Side
from failback.models.recovery import Part, RecoveryService
from failback.providers.dry_run import DryRunJournal
from failback.providers.faults import Call
from workers.system import told

from support.fake_system import FakeSystem

READS = {"assess", "choose_backup", "aclose"}


async def test_levels_3_and_4_when_rehearsed_then_nothing_is_changed() -> None:
    calls: list[Call] = []
    journal = DryRunJournal()
    ports: Any = told(FakeSystem(calls).ports, journal)

    await ports.pauses.pause("rb3", "why")
    await ports.pauses.resume("rb3")
    for name in await ports.functions.names():
        assert (await ports.functions.bring_back(name)).outcome is Outcome.SUCCEEDED
        await ports.functions.put_back(name)
        await ports.functions.probe(name, Side.SOURCE)
    await ports.auth.prepare()
    probe = await ports.auth.open_session("rb3")
    assert (await ports.auth.accepts(probe)).outcome is Outcome.SUCCEEDED
    await ports.auth.refreshes(probe)
    await ports.auth.close_session(probe)
    assert (await ports.configuration.switch(Side.SOURCE)).outcome is Outcome.SUCCEEDED
    assert (await ports.validation.validate()).outcome is Outcome.SUCCEEDED
    await ports.validation.record_baseline()
    await asyncio.to_thread(ports.storage.sync)
    ports.storage.baseline()
    recovery = ports.recovery
    recovery.assess()
    recovery.activate()
    recovery.restore(Part.DATABASE, "rb4", "b1")
    recovery.replay("rb4", "b1")
    recovery.verify("rb4")
    recovery.rebuild("rb4")
    recovery.enable(RecoveryService.CORE_API, 100)
    ports.archive.arm()
    ports.archive.archive_once()
    ports.archive.replay("b1", "dsn")
    ports.archive.prune("b1")
    ports.archive.disarm()

    assert {call.method for call in calls} <= READS
    sentences = journal.sentences()
    assert "Would pause every configured activity of the migration: why." in sentences
    assert "Observed: database is gone." in sentences
    assert any("ai-query" in sentence for sentence in sentences)
    assert any("restore database from backup b1 beside" in sentence for sentence in sentences)
    assert all(not sentence.endswith("..") for sentence in sentences)
