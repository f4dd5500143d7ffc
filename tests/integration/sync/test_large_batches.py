"""Large batches: netted by the server, read further where keys repeat, carried by several hands."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failback.errors import SlotBusyError
from failback.models.common import Outcome, Side
from failback.reverse_sync import capture, head_start, parallel_apply
from failback.reverse_sync.apply import Work
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.parallel_apply import ParallelApply
from failback.reverse_sync.pgoutput import Changes

from support.large import BEGINNING, taken_for_large

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

SHOP = (
    "CREATE TABLE public.users (id int PRIMARY KEY, email text UNIQUE, n int)",
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, user_id int, total numeric)",
    "CREATE TABLE public.notes (id uuid PRIMARY KEY, body text)",
)
FILLED = (
    "INSERT INTO users SELECT n, 'u' || n, 0 FROM generate_series(1, 200) AS n",
    "INSERT INTO orders SELECT n, n % 200, n FROM generate_series(1, 3000) AS n",
    "INSERT INTO notes SELECT md5(n::text)::uuid, 'b' || n FROM generate_series(1, 500) AS n",
)
CHANGED = (
    "UPDATE orders SET total = total + 1 WHERE id % 2 = 0",
    "DELETE FROM orders WHERE id % 5 = 0",
    "UPDATE notes SET body = body || '!'",
    # Each row takes the unique value of the next one.
    "UPDATE users SET email = NULL",
    "UPDATE users SET email = 'u' || (id % 200 + 1)",
)


@pytest.fixture(autouse=True, params=[True, False], ids=["packed", "counted"])
def large(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every batch goes the ways of large ones."""
    with taken_for_large(packed=request.param):
        yield


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The tables that each hand of the newest batch has carried."""
    seen: list[set[str]] = []
    commit = ParallelApply.commit

    def noted(self: ParallelApply) -> None:
        seen[:] = [{work.pair.qualified for work in hand.carried} for hand in self.hands]
        commit(self)

    monkeypatch.setattr(ParallelApply, "commit", noted)
    return seen


def on_target(pair: Any, *statements: str) -> None:
    with pair.target() as target:
        for statement in statements:
            target.execute(statement)


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """What each batch has carried before it had read everything: keys by table."""
    seen: list[dict[str, int]] = []
    works = head_start.works

    def noted(*arguments: Any) -> tuple[Work, ...]:
        found = works(*arguments)
        seen.append({work.pair.qualified: work.count for work in found})
        return found

    monkeypatch.setattr(head_start, "works", noted)
    return seen


def test_batch_when_it_is_large_then_several_hands_carry_it_and_both_sides_are_equal(
    pair: Any, armed: Armed, hands: list[set[str]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, *FILLED)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    on_target(pair, *CHANGED)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert len(hands) > 1
    assert all(hands), "a hand had nothing to do"
    report = engine.verify()
    assert (report.outcome, report.missing, report.extra, report.different) == (
        Outcome.SUCCEEDED,
        0,
        0,
        0,
    )


def test_batch_when_one_table_has_most_keys_then_the_hands_share_it(
    pair: Any, armed: Armed, hands: list[set[str]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[1])
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert sum("public.orders" in tables for tables in hands) > 1


def test_batch_when_keys_of_its_beginning_change_again_then_the_last_version_arrives(
    pair: Any, armed: Armed, early: list[dict[str, int]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[1])
    on_target(
        pair,
        FILLED[2],
        "UPDATE orders SET total = -1 WHERE id <= 300",
        "DELETE FROM orders WHERE id BETWEEN 100 AND 200",
        "UPDATE orders SET id = id + 10000 WHERE id <= 50",
        "INSERT INTO orders SELECT n, n, 7 FROM generate_series(1, 20) AS n",
    )
    report = engine.run_batch()
    assert early[-1] == {"public.orders": 3000}, "a beginning ends with a transaction"
    assert report.caught_up
    assert report.keys == 3000 + 50 + 500, "a key that was carried early is not carried again"
    assert report.by_table == {"public.orders": 3050, "public.notes": 500}
    pair.assert_equal()
    assert engine.verify().outcome is Outcome.SUCCEEDED


def test_batch_when_another_value_is_unique_then_its_table_does_not_begin_early(
    pair: Any, armed: Armed, early: list[dict[str, int]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[0], *CHANGED[3:])
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert not early[-1]
    pair.assert_equal()


def test_batch_when_a_table_that_began_early_is_truncated_then_it_is_copied_whole(
    pair: Any, armed: Armed, early: list[dict[str, int]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[1])
    on_target(
        pair,
        FILLED[2],
        "TRUNCATE orders, notes",
        "INSERT INTO orders SELECT n, n, n FROM generate_series(7, 9) AS n",
    )
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert {"public.orders": 3000} in early
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM orders") == [(3,)]
    pair.assert_equal()
    assert engine.verify().outcome is Outcome.SUCCEEDED


def test_batch_when_reading_the_rest_fails_then_what_began_early_is_rolled_back(
    pair: Any, armed: Armed, early: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[1])
    on_target(pair, FILLED[0], FILLED[2])
    peek = capture.peek

    def busy(*arguments: Any, limit: int | None, **options: Any) -> Changes:
        if limit != BEGINNING:
            raise SlotBusyError("The slot is being read by another session.")
        return peek(*arguments, limit=limit, **options)

    with monkeypatch.context() as patch:
        patch.setattr(capture, "peek", busy)
        with pytest.raises(SlotBusyError):
            engine.run_batch()
    assert early[-1] == {"public.orders": 3000}
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM orders") == [(0,)]
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_batch_when_one_table_changes_all_the_time_then_hands_share_what_follows_its_beginning(
    pair: Any, armed: Armed, early: list[dict[str, int]], hands: list[set[str]]
) -> None:
    engine = armed(*SHOP)
    for number in range(30):
        on_target(
            pair,
            f"INSERT INTO orders SELECT n, n, n FROM generate_series({number}00, {number}99) AS n",
            f"UPDATE orders SET total = total - 1 WHERE id % 30 = {number}",
            f"DELETE FROM orders WHERE id % 31 = {number} AND id % 7 = 0",
        )
    assert engine.run_batch().caught_up
    assert BEGINNING / 2 < early[-1]["public.orders"] <= BEGINNING + 100
    assert sum("public.orders" in tables for tables in hands) > 1
    pair.assert_equal()


@pytest.mark.parametrize("parallel", [1, 4])
def test_batch_when_commits_are_not_on_disk_yet_then_it_brings_them_there_and_reads_them(
    pair: Any, armed: Armed, parallel: int
) -> None:
    engine = armed(*SHOP, parallel=parallel)
    for number in range(20):
        on_target(
            pair,
            "SET LOCAL synchronous_commit = off",
            f"INSERT INTO orders VALUES ({number}, 1, 1)",
        )
        assert engine.run_batch().caught_up
        assert pair.rows(Side.SOURCE, "SELECT count(*) FROM orders") == [(number + 1,)]


def test_batch_when_another_value_is_unique_then_its_table_is_not_shared(
    pair: Any, armed: Armed, hands: list[set[str]]
) -> None:
    engine = armed(*SHOP)
    on_target(pair, FILLED[0])
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert sum("public.users" in tables for tables in hands) == 1


def test_batch_when_killed_between_two_commits_then_the_next_one_carries_everything_again(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(*SHOP)
    on_target(pair, *FILLED)
    commit = ParallelApply.commit

    def killed(self: ParallelApply) -> None:
        commit(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ParallelApply, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            engine.run_batch()
    tables = ("users", "orders", "notes")
    counts = [pair.rows(Side.SOURCE, f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    assert 0 < sum(counts) < 3700, "one hand has committed, and the batch's own has not"
    on_target(pair, *CHANGED)
    report = engine.drain(30)
    assert (report.outcome, report.keys) == (Outcome.SUCCEEDED, 3700)
    pair.assert_equal()
    assert engine.verify().outcome is Outcome.SUCCEEDED


def test_batch_when_tables_touch_each_other_then_one_hand_carries_them(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_apply, "LOCK_TIMEOUT", "200ms")
    engine = armed(
        "CREATE TABLE public.total (id int PRIMARY KEY, n bigint)",
        "INSERT INTO public.total VALUES (1, 0)",
        *SHOP[:2],
    )
    pair.run(
        Side.SOURCE,
        "CREATE FUNCTION public.count_it() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN UPDATE public.total SET n = n WHERE id = 1; RETURN NULL; END $$",
        *(
            f"CREATE TRIGGER counted AFTER INSERT ON public.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION public.count_it()"
            for table in ("users", "orders")
        ),
        *(
            f"ALTER TABLE public.{table} ENABLE ALWAYS TRIGGER counted"
            for table in ("users", "orders")
        ),
    )
    on_target(pair, *FILLED[:2])
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_batch_when_the_same_keys_change_again_and_again_then_one_carries_them_all(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*SHOP, batch_changes=200)
    on_target(pair, FILLED[0])
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    for _ in range(30):
        on_target(pair, "UPDATE users SET n = n + 1 WHERE id <= 50")
    report = engine.run_batch()
    assert (report.keys, report.changes, report.caught_up) == (50, 1500, True)
    pair.assert_equal()


def test_batch_when_a_table_was_altered_between_changes_then_order_is_kept(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*SHOP)
    on_target(pair, *FILLED)
    pair.both("ALTER TABLE public.users ADD COLUMN extra int DEFAULT 7")
    on_target(pair, "UPDATE users SET extra = id", "DELETE FROM users WHERE id > 150")
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
