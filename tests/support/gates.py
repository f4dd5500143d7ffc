"""Answers at the gates of a recovery."""

import asyncio
import time

from failback.models.recovery import GateAnswer, GateVerb, RecoveryGate

from .fake_estate import FakeEstate


async def waiting_gate(fakes: FakeEstate, rollback_id: str, seconds: float = 20.0) -> RecoveryGate:
    """The gate that waits, once one does."""
    deadline = time.monotonic() + seconds
    while True:
        gates = (await fakes.recoveries.recovery(rollback_id)).gates
        if gates and gates[-1].answer is None:
            return gates[-1]
        assert time.monotonic() < deadline, "no gate opened"
        await asyncio.sleep(0.02)


async def answered(
    fakes: FakeEstate, rollback_id: str, verb: GateVerb = GateVerb.GO_ON, reason: str = ""
) -> RecoveryGate:
    """Answer the next gate as alice; returns it as it was passed."""
    gate = await waiting_gate(fakes, rollback_id)
    return await fakes.recoveries.answer(
        rollback_id,
        GateAnswer(gate=gate.gate, verb=verb, who="alice", role="engineering_lead", reason=reason),
    )
