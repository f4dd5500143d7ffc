"""The continuous sync, as the workflow `ReverseSync` runs it: a batch about every second."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from failback.errors import FailbackError
from failback.reverse_sync.engine import ReverseSync


@contextmanager
def synchronising(engine: ReverseSync) -> Iterator[None]:
    """Run batches beside the block; what stops them is raised at its end."""
    over = threading.Event()
    problems: list[FailbackError] = []

    def batches() -> None:
        try:
            while not over.wait(1.0):
                engine.run_batch()
        except FailbackError as error:
            problems.append(error)

    thread = threading.Thread(target=batches, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if problems:
        raise problems[0]
