"""Long work that tells of itself every second, whatever it waits for."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from failback.ports import Progress

T = TypeVar("T")

_EVERY_SECONDS = 1.0


class _StoppedError(Exception):
    """Whoever is told wants the work to end."""


class _Told:
    """What a worker tells, handed over one by one: it goes on once it was heard."""

    def __init__(self, text: str) -> None:
        self.latest = text
        self._lock = threading.Lock()
        self._stopped = False
        self._waiting: queue.SimpleQueue[tuple[str, threading.Event] | None] = queue.SimpleQueue()

    def tell(self, text: str) -> None:
        """Say something, from any thread; raises where the work has to stop."""
        heard = threading.Event()
        with self._lock:
            if not self._stopped:
                self._waiting.put((text, heard))
            else:
                heard.set()
        heard.wait()
        if self._stopped:
            raise _StoppedError

    def end(self) -> None:
        """The work is done, well or not."""
        self._waiting.put(None)

    def listen(self, progress: Progress) -> None:
        """Pass on what is told, and the latest of it again every second, until the end."""
        while True:
            try:
                said = self._waiting.get(timeout=_EVERY_SECONDS)
            except queue.Empty:
                progress(self.latest)
                continue
            if said is None:
                return
            self.latest, heard = said
            try:
                progress(self.latest)
            except BaseException:
                self._stopped = True
                raise
            finally:
                heard.set()

    def stop(self) -> None:
        """Let nobody wait to be heard any more."""
        with self._lock:
            self._stopped = True
            while not self._waiting.empty():
                if (said := self._waiting.get()) is not None:
                    said[1].set()


def beating(work: Callable[[Progress], T], progress: Progress | None, text: str) -> T:
    """Do some work in a thread, and tell at least once a second that it goes on.

    A statement that takes minutes says nothing of itself, and whoever waits for a sign of life
    would take it for dead.

    Args:
        work: gets a callback to tell with; it ends at the next telling when it has to stop.
        progress: told in the caller's thread; what it raises ends the work, and is raised once
            the work has ended, so that nobody begins it anew beside it.
        text: what is told before the work has told anything.
    """
    if progress is None:
        return work(_nobody)
    told = _Told(text)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, told.tell)
        future.add_done_callback(lambda _: told.end())
        try:
            told.listen(progress)
        except BaseException:
            told.stop()
            raise
        return future.result()


def _nobody(_: str) -> None:
    """Told where nobody listens."""
