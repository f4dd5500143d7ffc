"""Tables without a key: every row counts, also those that are alike."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

LOG = "CREATE TABLE log (a int, line text, j json, x point)"
ROWS = (
    "INSERT INTO log SELECT n % 3, 'line', '{\"n\":  1}', point(0, 0)"
    " FROM generate_series(1, 9) AS n"
)


def lines(pair: Any, side: Side) -> Counter[tuple[Any, ...]]:
    return Counter(pair.rows(side, "SELECT a, line, j::text, x::text FROM log"))


def test_batch_when_one_of_several_equal_rows_is_deleted_then_the_others_stay(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LOG, ROWS)
    pair.run(
        Side.TARGET,
        "DELETE FROM log WHERE ctid IN (SELECT min(ctid) FROM log WHERE a = 1)",
        "UPDATE log SET line = NULL WHERE ctid IN (SELECT min(ctid) FROM log WHERE a = 2)",
        "INSERT INTO log SELECT 0, 'line', '{\"n\": 1}', point(0, 0) FROM generate_series(1, 2)",
    )
    engine.run_batch()
    assert lines(pair, Side.SOURCE) == lines(pair, Side.TARGET)
    assert lines(pair, Side.SOURCE)[1, "line", '{"n":  1}', "(0,0)"] == 2
    report = engine.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert (report.missing, report.extra, report.different) == (0, 0, 0)


def test_batch_when_the_table_is_copied_whole_then_no_row_is_doubled(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LOG, ROWS)
    pair.run(Side.TARGET, "INSERT INTO log SELECT * FROM log WHERE a = 1")
    pair.run(
        Side.SOURCE,
        "UPDATE failback.stream_table SET copy_whole = true WHERE name = 'public.log'",
    )
    engine.run_batch()
    assert lines(pair, Side.SOURCE) == lines(pair, Side.TARGET)


def test_arm_when_a_table_has_no_key_then_its_identity_is_full_until_it_is_disarmed(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LOG)
    query = "SELECT relreplident FROM pg_class WHERE relname = 'log'"
    assert [pair.rows(side, query) for side in Side] == [[("f",)], [("f",)]]
    # What the publication asks for must not stand in the product's way.
    with pair.product() as product:
        product.execute("INSERT INTO log VALUES (1, NULL, NULL, NULL)")
        product.execute("UPDATE log SET a = 2")
    engine.disarm()
    assert [pair.rows(side, query) for side in Side] == [[("d",)], [("d",)]]


def test_tail_when_the_source_takes_writes_then_equal_rows_are_counted_and_conflicts_parked(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LOG, ROWS)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.run(
        Side.TARGET,
        "DELETE FROM log WHERE ctid IN (SELECT min(ctid) FROM log WHERE a = 1)",
        "UPDATE log SET line = 'new' WHERE a = 2",
        "INSERT INTO log SELECT 0, 'line', '{\"n\":  1}', point(0, 0)",
    )
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE, accepted="level 1 policy")
    pair.run(
        Side.SOURCE,
        "INSERT INTO log SELECT 0, 'line', '{\"n\":  1}', point(0, 0) FROM generate_series(1, 5)",
        "INSERT INTO log VALUES (NULL, NULL, NULL, NULL)",
    )
    report = engine.drain_late(30)
    assert report.outcome is Outcome.SUCCEEDED
    # The source's own rows stay: three from before and five of its own.
    assert lines(pair, Side.SOURCE) == {
        (0, "line", '{"n":  1}', "(0,0)"): 8,
        (1, "line", '{"n":  1}', "(0,0)"): 2,
        (2, "new", '{"n":  1}', "(0,0)"): 3,
        (None, None, None, None): 1,
    }
    (conflict,) = engine.conflicts()
    assert conflict.source_image is not None
    assert conflict.target_image is not None
    assert conflict.source_image["(copies)"] == "8"
    assert conflict.target_image["(copies)"] == "4"
