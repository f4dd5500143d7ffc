"""Writers of a product: short and long transactions that commit in odd order."""

import random
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass
class Writer(threading.Thread):
    """Writes random short and long transactions, and gives some of them up."""

    dsn: str
    number: int
    over: threading.Event
    pausing: threading.Event
    """Set, it gives the engine the time to catch up now and then."""
    committed: int = 0
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.choose = random.Random(self.number)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute("SET deadlock_timeout = '50ms'")
                while not self.over.is_set():
                    with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                        self.transaction(connection)
                    if self.pausing.is_set():
                        self.over.wait(0.03)
        except BaseException as failure:
            self.failure = failure
            raise

    def transaction(self, connection: Any) -> None:
        with connection.transaction():
            for _ in range(self.choose.randint(1, 5)):
                self.change(connection, self.choose.randint(1, 400))
            if self.choose.random() < 0.3:
                connection.execute("SELECT pg_sleep(0.02)")  # others commit meanwhile
            if self.choose.random() < 0.1:
                raise psycopg.Rollback
            self.committed += 1

    def change(self, connection: Any, key: int) -> None:
        insert = (
            "INSERT INTO ledger VALUES (%(key)s, 0, %(who)s) ON CONFLICT (id) DO UPDATE"
            " SET v = ledger.v + 1, writer = excluded.writer"
        )
        move = "UPDATE ledger SET id = %(key)s + 1000 WHERE id = %(key)s"
        delete = "DELETE FROM ledger WHERE id IN (%(key)s, %(key)s + 1000)"
        (query,) = self.choose.choices([insert, move, delete], [5, 2, 2])
        connection.execute(query, {"key": key, "who": f"writer {self.number}"})
