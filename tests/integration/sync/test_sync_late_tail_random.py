"""Random writers on the source while the tail is drained: what it holds then is known exactly.

Each writer has keys of its own, so that the last write that was acknowledged for a key is known. A
key that the source changed holds that write; one that is parked holds what it held before; every
other changed key holds what the target has; and nothing else has changed.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

_KEYS = 240
_NEW_KEYS = 60
_WRITERS = 3
_TABLE = (
    """CREATE TABLE public.t (
        id int PRIMARY KEY, who text NOT NULL, v bigint NOT NULL, tag text UNIQUE)""",
    f"INSERT INTO public.t SELECT g, 'before', g, 'tag' || g FROM generate_series(1, {_KEYS}) g",
)

Row = tuple[str, int, str | None] | None
"""What a key holds; None for no row."""


@dataclass
class Writer:
    """One of the product's processes on the source, with the keys that are its own."""

    number: int
    dsn: str
    random: random.Random
    acknowledged: dict[int, Row] = field(default_factory=dict)
    refused: int = 0

    def run(self, stop: threading.Event) -> None:
        """Transactions of a few writes each, until told to stop."""
        with psycopg.connect(self.dsn) as product:
            count = 0
            while not stop.is_set():
                count += 1
                written: dict[int, Row] = {}
                try:
                    for _ in range(self.random.randint(1, 3)):
                        self._write(product, written, count)
                    product.commit()
                except (psycopg.errors.TransactionRollback, psycopg.errors.UniqueViolation):
                    product.rollback()
                    self.refused += 1
                else:
                    self.acknowledged.update(written)
                stop.wait(0.001)

    def _write(self, product: psycopg.Connection[Any], written: dict[int, Row], count: int) -> None:
        key = self.random.randrange(self.number, _KEYS + _NEW_KEYS, _WRITERS) + 1
        who, kind = f"source {self.number}", self.random.random()
        if kind < 0.6:
            row = product.execute(
                "UPDATE t SET who = %s, v = %s WHERE id = %s RETURNING who, v, tag",
                [who, count, key],
            ).fetchone()
        elif kind < 0.75:
            done = product.execute("DELETE FROM t WHERE id = %s", [key])
            if done.rowcount:
                written[key] = None
            return
        else:
            # Some of these tags are the ones that the target gave to other rows.
            tag = f"tag{self.random.randint(1, 4 * _KEYS)}"
            row = product.execute(
                "INSERT INTO t VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO NOTHING"
                " RETURNING who, v, tag",
                [key, who, count, tag],
            ).fetchone()
        if row is not None:
            written[key] = row


def contents(pair: Any, side: Side) -> dict[int, Row]:
    return {key: (who, v, tag) for key, who, v, tag in pair.rows(side, "SELECT * FROM t")}


def tail(chance: random.Random) -> list[str]:
    """What the target does last: updates, deletes, inserts, and values that change hands."""
    statements = []
    for number in range(150):
        key, kind = chance.randint(1, _KEYS), chance.random()
        if kind < 0.55:
            statements.append(f"UPDATE t SET who = 'target', v = {number} WHERE id = {key}")
        elif kind < 0.7:
            statements.append(f"DELETE FROM t WHERE id = {key}")
        elif kind < 0.85:
            new = _KEYS + chance.randint(1, _NEW_KEYS)
            statements.append(
                f"INSERT INTO t VALUES ({new}, 'target', {number}, 'tag{_KEYS + number + 1}')"
                " ON CONFLICT DO NOTHING"
            )
        else:
            other = chance.randint(1, _KEYS)
            statements += [
                f"UPDATE t SET tag = NULL, who = 'target' WHERE id = {key}",
                f"""UPDATE t SET tag = 'tag{key}', who = 'target' WHERE id = {other}
                    AND NOT EXISTS (SELECT FROM t WHERE tag = 'tag{key}')""",
            ]
    return statements


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_source_when_random_writers_meet_the_tail_then_holds_exactly_what_it_must(
    pair: Any, armed: Callable[..., ReverseSync], seed: int
) -> None:
    chance = random.Random(seed)
    engine = armed(*_TABLE, batch_changes=chance.choice([5, 20, 60]))
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    before = contents(pair, Side.SOURCE)
    pair.run(Side.TARGET, *tail(chance))
    target = contents(pair, Side.TARGET)
    engine.raise_fence(Side.TARGET, 1.0)
    engine.lift_fence(Side.SOURCE, accepted="level 1 policy")
    writers = [
        Writer(number, pair.databases.source_dsn, random.Random(f"{seed} {number}"))
        for number in range(_WRITERS)
    ]
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        reports = []
        while not reports or not reports[-1].caught_up:
            reports.append(engine.run_batch())
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert engine.drain_late(30).keys == 0

    acknowledged = {key: row for writer in writers for key, row in writer.acknowledged.items()}
    parked = {int(one.key.removeprefix("id=")): one for one in engine.conflicts()}
    changed = {key for key in before | target if before.get(key) != target.get(key)}
    expected = {
        key: acknowledged[key]
        if key in acknowledged
        else before.get(key)
        if key in parked or key not in changed
        else target.get(key)
        for key in before | target | acknowledged
    }
    held = {key: row for key, row in expected.items() if row is not None}
    assert contents(pair, Side.SOURCE) == held
    assert sum(row[1] for row in contents(pair, Side.SOURCE).values() if row) == sum(
        row[1] for row in held.values()
    )
    # Every change of the target was applied or parked, and counted so.
    assert sum(report.keys for report in reports) >= len(changed)
    assert sum(report.conflicts for report in reports) == len(parked)
    assert set(parked) <= changed
    for key, one in parked.items():
        version = one.target_image
        assert (version is None) == (key not in target)
        if version is not None:
            assert (version["who"], int(version["v"] or 0), version["tag"]) == target[key]
    assert acknowledged, "the source's writers have to be at work for this to say anything"
    assert parked, "both sides have to meet for this to say anything"
