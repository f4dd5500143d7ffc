"""Parked conflicts, settled: the version that was decided for becomes the source's row, exactly."""

from collections.abc import Callable
from typing import Any

import pytest

from failback.errors import ConfigurationError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.settling import ConflictChoice, Keep, Settled, Settlement
from failback.reverse_sync import settling
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

_SHOP = (
    """CREATE TABLE public.users (
        id bigint PRIMARY KEY, email text UNIQUE, n numeric(8,2), at timestamptz)""",
    """CREATE TABLE public.orders (
        id int PRIMARY KEY, buyer bigint REFERENCES users (id), v text,
        seq int GENERATED ALWAYS AS IDENTITY)""",
    "INSERT INTO public.users SELECT g, 'u' || g, g, '2026-01-01' FROM generate_series(1, 9) g",
    "INSERT INTO public.orders (id, buyer, v) SELECT g, g, 'v' FROM generate_series(1, 4) g",
)


def choice(keep: str, *ids: int, **more: Any) -> ConflictChoice:
    return ConflictChoice(keep=Keep(keep), ids=ids, who="alice", **more)


def flip(engine: ReverseSync, pair: Any, *tail: str) -> None:
    """Everything up to the moment the source takes writes, with a tail left on the target."""
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.run(Side.TARGET, *tail)
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE, accepted="level 1 policy")


@pytest.fixture
def parked(pair: Any, armed: Callable[..., ReverseSync]) -> Callable[..., ReverseSync]:
    """Makes a shop whose two sides changed the same rows, with the conflicts parked."""

    def park(target: list[str], source: list[str], conflicts: int = 1) -> ReverseSync:
        engine = armed(*_SHOP)
        flip(engine, pair, *target)
        pair.run(Side.SOURCE, *source)
        assert engine.drain_late(30).outcome is Outcome.SUCCEEDED
        assert len(engine.conflicts()) == conflicts
        return engine

    return park


def one(engine: ReverseSync, keep: str, **more: Any) -> Settlement:
    """Settle the oldest open conflict."""
    (number, *_) = [each.id for each in engine.conflicts()]
    (done,) = engine.settle_conflicts(choice(keep, number, **more)).settlements
    return done


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("DELETE FROM orders WHERE id = 2", "UPDATE orders SET v = 's' WHERE id = 2"),
        ("UPDATE orders SET v = 't' WHERE id = 2", "DELETE FROM orders WHERE id = 2"),
        ("INSERT INTO orders VALUES (9, 1, 't')", "INSERT INTO orders VALUES (9, 2, 's')"),
        ("UPDATE orders SET seq = DEFAULT WHERE id = 2", "UPDATE orders SET v = 's' WHERE id = 2"),
    ],
    ids=["deleted there", "deleted here", "made twice", "identity"],
)
def test_targets_version_when_rows_came_or_went_then_the_source_follows(
    pair: Any, parked: Callable[..., ReverseSync], target: str, source: str
) -> None:
    engine = parked([target], [source])
    assert one(engine, "target").result is Settled.SETTLED
    pair.assert_equal()


def test_row_when_changed_again_since_then_refused_with_what_it_is_now(
    pair: Any, parked: Callable[..., ReverseSync]
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id IN (5, 6)"],
        ["UPDATE users SET n = 2 WHERE id IN (5, 6)"],
        conflicts=2,
    )
    pair.run(Side.SOURCE, "UPDATE users SET n = 3 WHERE id = 5")
    report = engine.settle_conflicts(choice("target", table="public.*"))
    by_key = {each.conflict.key: each for each in report.settlements}
    assert by_key["id=6"].result is Settled.SETTLED
    refused = by_key["id=5"]
    assert (refused.result, report.open_conflicts, report.complete) == (Settled.REFUSED, 1, False)
    assert "changed since" in refused.detail
    assert refused.conflict.source_image is not None
    assert refused.conflict.source_image["n"] == "3.00"
    assert pair.rows(Side.SOURCE, "SELECT n FROM users WHERE id IN (5, 6) ORDER BY id") == [
        (3,),
        (1,),
    ]
    # The new version has been shown now, so that the same decision counts.
    assert one(engine, "target").result is Settled.SETTLED
    pair.assert_equal()


def test_plan_then_says_what_would_come_of_it_and_changes_nothing(
    pair: Any, parked: Callable[..., ReverseSync]
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id IN (5, 6)"],
        ["UPDATE users SET n = 2 WHERE id IN (5, 6)"],
        conflicts=2,
    )
    pair.run(Side.SOURCE, "UPDATE users SET n = 3 WHERE id = 5")
    before, parked_before = pair.contents(Side.SOURCE), engine.conflicts()
    report = engine.settle_conflicts(choice("target", table="*", plan=True))
    assert [each.result for each in report.settlements] == [Settled.REFUSED, Settled.PLANNED]
    assert pair.contents(Side.SOURCE) == before
    assert engine.conflicts() == parked_before


def test_rule_when_one_version_is_newer_then_it_is_kept_and_ties_are_left_to_people(
    pair: Any, parked: Callable[..., ReverseSync]
) -> None:
    engine = parked(
        [
            "UPDATE users SET n = 1, at = '2026-03-02' WHERE id = 1",
            "UPDATE users SET n = 1, at = '2026-03-01' WHERE id = 2",
            "UPDATE users SET n = 1, at = '2026-03-01' WHERE id = 3",
            "DELETE FROM users WHERE id = 9",
            "UPDATE users SET n = 1, at = NULL WHERE id = 4",
        ],
        [
            "UPDATE users SET n = 2, at = '2026-03-01 12:00' WHERE id IN (1, 2, 4, 9)",
            "UPDATE users SET n = 2, at = '2026-03-01' WHERE id = 3",
        ],
        conflicts=5,
    )
    report = engine.settle_conflicts(choice("newest", table="public.users", column="at"))
    found = {each.conflict.key: (each.result, each.keep) for each in report.settlements}
    assert found == {
        "id=1": (Settled.SETTLED, Side.TARGET),
        "id=2": (Settled.SETTLED, Side.SOURCE),
        "id=3": (Settled.UNDECIDED, None),
        "id=4": (Settled.UNDECIDED, None),
        "id=9": (Settled.UNDECIDED, None),
    }
    assert pair.rows(Side.SOURCE, "SELECT n FROM users WHERE id IN (1, 2) ORDER BY id") == [
        (1,),
        (2,),
    ]


@pytest.mark.parametrize(
    ("target", "source", "after", "words"),
    [
        (
            "UPDATE users SET email = 'x' WHERE id = 5",
            "UPDATE users SET email = 'y' WHERE id = 5",
            "INSERT INTO users VALUES (30, 'x')",
            "does not fit",
        ),
        (
            "UPDATE orders SET buyer = 8 WHERE id = 1",
            "UPDATE orders SET v = 's' WHERE id = 1",
            "DELETE FROM users WHERE id = 8",
            "refers to one of public.users",
        ),
        (
            "DELETE FROM users WHERE id = 8",
            "UPDATE users SET n = 2 WHERE id = 8",
            "UPDATE orders SET buyer = 8 WHERE id = 1",
            "rows of public.orders refer to",
        ),
        (
            "UPDATE users SET n = 1 WHERE id = 5",
            "UPDATE users SET n = 2 WHERE id = 5",
            "ALTER TABLE users ADD extra int",
            "columns of public.users have changed",
        ),
    ],
    ids=["unique", "no parent", "children", "column"],
)
def test_version_that_does_not_fit_then_refused_and_the_row_stays(
    pair: Any,
    parked: Callable[..., ReverseSync],
    target: str,
    source: str,
    after: str,
    words: str,
) -> None:
    engine = parked([target], [source])
    pair.run(Side.SOURCE, after)
    before = pair.contents(Side.SOURCE)
    done = one(engine, "target")
    assert done.result is Settled.REFUSED
    assert words in done.detail
    assert done.cure
    assert pair.contents(Side.SOURCE) == before
    assert len(engine.conflicts()) == 1


def test_unique_value_that_is_checked_late_then_refused_all_the_same(
    pair: Any, parked: Callable[..., ReverseSync]
) -> None:
    engine = parked(
        ["UPDATE users SET email = 'x' WHERE id = 5"], ["UPDATE users SET email = 'y' WHERE id = 5"]
    )
    pair.run(
        Side.SOURCE,
        "ALTER TABLE users DROP CONSTRAINT users_email_key",
        "ALTER TABLE users ADD UNIQUE (email) DEFERRABLE INITIALLY DEFERRED",
        "INSERT INTO users VALUES (30, 'x')",
    )
    done = one(engine, "target")
    assert (done.result, done.detail) == (Settled.REFUSED, "another row has its email")


def test_settling_that_is_killed_before_its_commit_then_did_nothing_and_is_done_again(
    pair: Any, parked: Callable[..., ReverseSync], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id = 5"], ["UPDATE users SET n = 2 WHERE id = 5"]
    )

    class KilledError(Exception):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(settling, "_record", killed)
        with pytest.raises(KilledError):
            one(engine, "target")
    assert pair.rows(Side.SOURCE, "SELECT n FROM users WHERE id = 5") == [(2,)]
    number = engine.conflicts()[0].id
    again = pair.engine()
    results = [
        again.settle_conflicts(choice(keep, number)).settlements[0].result
        for keep in ("target", "target", "source")
    ]
    assert results == [Settled.SETTLED, Settled.ALREADY, Settled.REFUSED]
    pair.assert_equal()


def test_settled_row_is_not_taken_for_a_change_of_the_sources_own(
    pair: Any, parked: Callable[..., ReverseSync]
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id = 5", "UPDATE users SET n = 1 WHERE id = 6"],
        ["INSERT INTO users VALUES (30, 'x')", "UPDATE users SET n = 2 WHERE id = 5"],
    )
    # The row was not changed by the source, so that only the settling could be taken for that.
    with pair.admin(Side.SOURCE) as admin:
        admin.execute(
            "INSERT INTO failback.conflicts (stream, table_name, key, key_image, reason,"
            " source_image, target_image)"
            " SELECT stream, table_name, 'id=7', '{\"id\": \"7\"}', reason,"
            ' source_image || \'{"id": "7", "email": "u7", "n": "7.00"}\','
            ' target_image || \'{"id": "7", "email": "u7", "n": "70.00"}\''
            " FROM failback.conflicts"
        )
    number = engine.conflicts()[-1].id
    (done,) = engine.settle_conflicts(choice("target", number)).settlements
    assert done.result is Settled.SETTLED, done.detail
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER TABLE users DISABLE TRIGGER failback_fence")
        admin.execute("UPDATE users SET n = 71 WHERE id = 7")
    assert engine.drain_late(30).conflicts == 0
    assert pair.rows(Side.SOURCE, "SELECT n FROM users WHERE id = 7") == [(71,)]


def test_choice_that_says_too_little_or_too_much_then_an_error_with_its_cure(
    parked: Callable[..., ReverseSync],
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id = 5"], ["UPDATE users SET n = 2 WHERE id = 5"]
    )
    for wrong in (
        choice("target"),
        choice("target", 1, table="*"),
        choice("newest", 1),
        choice("target", 1, column="at"),
        choice("target", 4711),
        choice("target", 1).model_copy(update={"who": " "}),
    ):
        with pytest.raises(ConfigurationError):
            engine.settle_conflicts(wrong)
    report = engine.settle_conflicts(choice("newest", table="*", column="nosuch"))
    assert [each.result for each in report.settlements] == [Settled.REFUSED]
    assert engine.settle_conflicts(choice("target", table="auth.*")).settlements == ()


def test_disarm_when_conflicts_are_open_then_refused_until_all_are_settled(
    parked: Callable[..., ReverseSync],
) -> None:
    engine = parked(
        ["UPDATE users SET n = 1 WHERE id = 5"], ["UPDATE users SET n = 2 WHERE id = 5"]
    )
    with pytest.raises(SafetyRuleError, match="conflicts_settled"):
        engine.disarm()
    engine.settle_conflicts(choice("source", table="*"))
    assert engine.disarm().removed
