"""Runs many small pieces of work in threads, with few of them waiting and none forgotten."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

W = TypeVar("W")
R = TypeVar("R")

_WAITING = 4
"""Pieces that wait for each thread, so that none is idle."""


def as_done(work: Iterable[W], act: Callable[[W], R], parallel: int) -> Iterator[R]:
    """Results in the order in which they are ready. The first error ends all of it.

    A large piece holds no other up. What is under way when an error comes is waited for.
    """
    with ThreadPoolExecutor(parallel) as pool:
        running: set[Future[R]] = set()
        try:
            for piece in work:
                running.add(pool.submit(act, piece))
                if len(running) >= _WAITING * parallel:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_order(work: Iterable[W], act: Callable[[W], R], parallel: int) -> Iterator[R]:
    """As `as_done`, with the results in the order of the work."""
    with ThreadPoolExecutor(parallel) as pool:
        running: deque[Future[R]] = deque()
        try:
            for piece in work:
                running.append(pool.submit(act, piece))
                if len(running) >= _WAITING * parallel:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
