"""Writers in a process of their own, which keep a journal of what was acknowledged to them.

Changes when other writes are made. Each row has its writer's number and a count; the journal
says which count of which row was acknowledged last, and so what must not be lost.
"""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psycopg

WRITERS = 8
_PAUSE_SECONDS = 0.002
_ANSWER_SECONDS = 30.0

TABLE = "CREATE TABLE public.journal (id bigint PRIMARY KEY, count int NOT NULL, note text)"


@dataclass(frozen=True)
class Journal:
    """What writers were told: by row, the last acknowledged count."""

    counts: dict[int, int]
    acknowledged: int
    refused: int


class Writers:
    """The writers as whoever measures sees them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def journal(self) -> Journal:
        """What was acknowledged so far."""
        self._pipe.send("journal")
        if not self._pipe.poll(_ANSWER_SECONDS):
            raise TimeoutError("the writers do not answer")
        answer = self._pipe.recv()
        problem, *facts = answer
        if problem:
            raise RuntimeError(f"a writer failed: {problem}")
        return Journal(*facts)

    def until(self, acknowledged: int) -> None:
        """Wait until so many writes were acknowledged."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while self.journal().acknowledged < acknowledged:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the writers have not written {acknowledged} times")
            time.sleep(0.05)


@contextmanager
def writing(dsn: str, per_second: float) -> Iterator[Writers]:
    """Write so many times a second until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_write, args=(dsn, per_second, theirs), daemon=True
    )
    process.start()
    try:
        yield Writers(ours)
    finally:
        process.terminate()
        process.join(10)


def _write(dsn: str, per_second: float, pipe: Connection) -> None:
    work = [_Writer(dsn, number, per_second / WRITERS) for number in range(WRITERS)]
    for writer in work:
        threading.Thread(target=writer.run, daemon=True).start()
    while True:
        pipe.recv()
        problem = "; ".join(writer.problem for writer in work if writer.problem)
        counts: dict[int, int] = {}
        for writer in work:
            counts.update(writer.counts.copy())
        acknowledged = sum(writer.acknowledged for writer in work)
        pipe.send((problem, counts, acknowledged, sum(writer.refused for writer in work)))


class _Writer:
    """One session, a statement a transaction; a refused write was not acknowledged."""

    def __init__(self, dsn: str, number: int, per_second: float) -> None:
        self._dsn = dsn
        self._number = number
        self._every = 1.0 / per_second
        self.counts: dict[int, int] = {}
        self.acknowledged = 0
        self.refused = 0
        self.problem = ""

    def run(self) -> None:
        """Write for ever; two of three writes change one of the last rows again."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - told to whoever measures
            self.problem = f"{type(error).__name__}: {error}"

    def _run(self) -> None:
        turn, due = 0, time.monotonic()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while True:
                turn += 1
                row = self._number * 10_000_000 + turn // 3
                due = max(due + self._every, time.monotonic() - 0.1)
                time.sleep(max(0.0, due - time.monotonic()))
                while not self._passed(connection, row, turn):
                    time.sleep(_PAUSE_SECONDS)
                self.counts[row] = turn
                self.acknowledged += 1

    def _passed(
        self, connection: "psycopg.Connection[tuple[object, ...]]", row: int, turn: int
    ) -> bool:
        try:
            connection.execute(
                "INSERT INTO public.journal VALUES (%s, %s, 'some text that a row carries')"
                " ON CONFLICT (id) DO UPDATE SET count = excluded.count",
                [row, turn],
            )
        except psycopg.errors.ReadOnlySqlTransaction:
            self.refused += 1
            return False
        return True
