"""Heartbeats of long activities: proof of life for Temporal, and the way a cancel arrives."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator

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


@contextlib.contextmanager
def beating_sync(every_seconds: float) -> Iterator[None]:
    """The same for work in a thread that may be silent for longer than a heartbeat may take.

    A cancel still arrives where the work reports progress.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_seconds):
            activity.heartbeat()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
