"""Runs many small pieces of work in threads, with few of them waiting and none forgotten."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

W = TypeVar("W")
R = TypeVar("R")

K = TypeVar("K")

_WAITING = 4
"""Pieces that wait for each thread, so that none is idle."""
_LOOK_SECONDS = 0.1
_TICK_SECONDS = 1.0


def as_they_come(
    sources: Mapping[K, Iterable[R]], tick: Callable[[], None]
) -> Generator[tuple[K, R], None, None]:
    """What several iterables give, each read in a thread of its own, with few items waiting.

    The first error ends all of it; the others end with the item that they are at. `tick` is as for
    `as_done`.
    """
    readers: _Readers[K, R] = _Readers()
    with ThreadPoolExecutor(len(sources)) as pool:
        for name, source in sources.items():
            pool.submit(readers.read, name, source)
        left = len(sources)
        try:
            while left:
                try:
                    name, item, error = readers.ready.get(timeout=_TICK_SECONDS)
                except queue.Empty:
                    tick()
                    continue
                if error is not None:
                    raise error
                if item is None:
                    left -= 1
                else:
                    yield name, item
        finally:
            readers.given_up.set()


class _Readers(Generic[K, R]):
    """Reads iterables in threads, and hands over what they give; None says that one has ended."""

    def __init__(self) -> None:
        self.ready: queue.Queue[tuple[K, R | None, BaseException | None]] = queue.Queue(_WAITING)
        self.given_up = threading.Event()

    def read(self, name: K, source: Iterable[R]) -> None:
        try:
            for item in source:
                if not self._handed_over(name, item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are read
            self._handed_over(name, None, error)
        else:
            self._handed_over(name, None)

    def _handed_over(self, name: K, item: R | None, error: BaseException | None = None) -> bool:
        while not self.given_up.is_set():
            try:
                self.ready.put((name, item, error), timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def as_done(
    work: Iterable[W], act: Callable[[W], R], parallel: int, tick: Callable[[], None]
) -> Iterator[R]:
    """Results in the order in which they are ready. The first error ends all of it.

    A large piece holds no other up. What is under way when an error comes is waited for. While
    nothing is ready, `tick` is called every second, and may raise to stop it.
    """
    with ThreadPoolExecutor(parallel) as pool:
        running: set[Future[R]] = set()
        try:
            for piece in work:
                running.add(pool.submit(act, piece))
                if len(running) >= _WAITING * parallel:
                    done, running = _some(running, tick)
                    for future in done:
                        yield future.result()
            while running:
                done, running = _some(running, tick)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _some(
    running: set[Future[R]], tick: Callable[[], None]
) -> tuple[set[Future[R]], set[Future[R]]]:
    """Those that are ready, at least one, and the others."""
    while True:
        done, others = wait(running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
        if done:
            return done, others
        tick()


def in_order(
    work: Iterable[W], act: Callable[[W], R], parallel: int, tick: Callable[[], None]
) -> Iterator[R]:
    """As `as_done`, with the results in the order of the work."""
    with ThreadPoolExecutor(parallel) as pool:
        running: deque[Future[R]] = deque()
        try:
            for piece in work:
                running.append(pool.submit(act, piece))
                if len(running) >= _WAITING * parallel:
                    _some({running[0]}, tick)
                    yield running.popleft().result()
            while running:
                _some({running[0]}, tick)
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
