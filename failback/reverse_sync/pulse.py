"""Keeps telling that long work goes on, also while one statement takes its time.

Changes when whoever asked for the work is told in another way.
"""

import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Progress = Callable[[str], None]
_SECONDS = 0.5


class Pulse:
    """Calls `progress` about twice a second, or as often as is said, while its block runs.

    `progress` may raise to stop the work: then `cancel` is called, which makes the statement at
    work fail, and the block ends with what `progress` raised.

    Args:
        progress: called with one short sentence; None is never called.
        cancel: ends whatever statement is running.
        seconds: between two calls.
    """

    def __init__(
        self,
        progress: Progress | None,
        cancel: Callable[[], None],
        seconds: float = _SECONDS,
    ) -> None:
        self.text = "working"
        self._progress = progress
        self._cancel = cancel
        self._seconds = seconds
        self._raised: BaseException | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._progress is not None:
            # Whoever is told may know where it is called from by its context.
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._beat, self._progress), name="pulse", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._raised is not None:
            raise self._raised from None

    def __call__(self) -> None:
        """Stop here if `progress` has raised meanwhile."""
        if self._raised is not None:
            raise self._raised

    def _beat(self, progress: Progress) -> None:
        while not self._over.wait(self._seconds):
            try:
                progress(self.text)
            except BaseException as raised:  # noqa: BLE001 - handed to the thread that works
                self._raised = raised
                self._cancel()
                return
