"""Heartbeats of long activities: proof of life for Temporal, and the way a cancel arrives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from temporalio import activity
from temporalio.exceptions import CancelledError


def heartbeat(sentence: str) -> None:
    """Progress callback for work that runs in a thread; raises where a cancel has arrived."""
    if activity.is_cancelled():
        raise CancelledError("cancelled")
    if not activity.info().is_local:
        activity.heartbeat(sentence)


@contextlib.asynccontextmanager
async def beating(every_seconds: float) -> AsyncIterator[None]:
    """Heartbeat in the background while the body of an asynchronous activity runs."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(every_seconds)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
