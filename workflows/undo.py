"""What must be undone when a rollback is cancelled before traffic has moved."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

R = TypeVar("R")
Undo = Callable[[], Awaitable[None]]


class UndoStack:
    """Undoings, registered before what they undo is done, run in reverse order.

    Each must be right whether or not its effect happened. Once traffic begins to move
    (`commit`) nothing is undone any more: the way to a safe state is forward.
    """

    def __init__(self) -> None:
        self._undoings: list[tuple[str, Undo]] = []
        self.committed = False
        self._cancelling = False

    def register(self, name: str, undo: Undo) -> None:
        """Remember how to undo what is about to be done."""
        self._undoings.append((name, undo))

    def commit(self) -> None:
        """From here on the rollback only goes forward."""
        self.checkpoint()
        self.committed = True

    def checkpoint(self) -> None:
        """Stop the plan here if a cancel has arrived that must still be undone.

        An effect that was under way when the cancel came runs to its end, and its success
        would otherwise hide the cancel.
        """
        if self._cancelling and not self.committed:
            raise asyncio.CancelledError

    async def guard(self, plan: Coroutine[Any, Any, R]) -> R:
        """Run the plan; a cancel before the commit undoes it, a later one is ignored.

        Temporal delivers a cancel once, so that what is awaited after it is not cancelled
        again: the undoing runs to its end.
        """
        running = asyncio.create_task(plan)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if self.committed:
                workflow.logger.warning("cancel ignored: traffic is moving already")
                return await running
            self._cancelling = True
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, FailureError):
                return await running
            await self.unwind()
            raise

    async def unwind(self, *, keep: Container[str] = ()) -> None:
        """Undo everything but what is named, each even where another failed."""
        while self._undoings:
            name, undo = self._undoings.pop()
            if name in keep:
                continue
            try:
                await undo()
            except FailureError:
                workflow.logger.exception("could not undo: %s", name)
