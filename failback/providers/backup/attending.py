"""Waits for long work and tells of it meanwhile, so that whoever is told can end it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from failback.ports import Progress

T = TypeVar("T")

EVERY_SECONDS = 1.0


def attended(work: Callable[[], T], tell: Progress, sentence: str, stop: Callable[[], object]) -> T:
    """Do work in a thread; what `tell` raises stops it, and is raised once it has ended.

    Args:
        work: blocking.
        tell: called about once a second.
        sentence: what it is told.
        stop: makes the work end soon; called from another thread than the work's.
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        while True:
            try:
                return running.result(timeout=EVERY_SECONDS)
            except TimeoutError:
                if running.done():
                    raise
            try:
                tell(sentence)
            except BaseException:
                stop()
                raise
