"""Every kind of table arrives on the source exactly as it is on the target, both ways round."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

from support.every_layout import CONSTRAINTS, LAYOUTS
from support.every_table import KEYS, OWNER, TYPES, Kind
from support.large import taken_for_large

pytestmark = pytest.mark.servers

KINDS = (*KEYS, *TYPES, *CONSTRAINTS, *LAYOUTS)


def make(pair: Any, kind: Kind) -> None:
    """The kind's tables on both sides; skips what a server does not offer."""
    for name in filter(None, kind.extension.split(",")):
        for side in Side:
            if not pair.rows(side, f"SELECT FROM pg_available_extensions WHERE name = '{name}'"):
                pytest.skip(f"the {side.value} does not offer the extension {name}")
            with pair.admin(side) as admin:
                admin.execute(f"CREATE EXTENSION {name} SCHEMA public")
    if kind.name == "xml":
        for side in Side:
            if not pair.rows(side, "SELECT FROM pg_config WHERE setting LIKE '%--with-libxml%'"):
                pytest.skip(f"the {side.value} was built without libxml")
    pair.both(*kind.both)
    pair.run(Side.SOURCE, *kind.source)
    pair.run(Side.TARGET, *kind.target)


def change(pair: Any, kind: Kind, statements: tuple[str, ...]) -> None:
    """Run one round on the target as one transaction."""
    owner = kind.role == OWNER or any(each.startswith("TRUNCATE") for each in statements)
    with pair.target() if owner else pair.product() as session:
        if owner:
            session.execute("SET ROLE app_owner")
        for each in statements:
            session.execute(each)


def catch_up(engine: ReverseSync) -> None:
    """Batches until the source equals a snapshot of the target."""
    for _ in range(20):
        if engine.run_batch().caught_up:
            return
    raise AssertionError("the source never caught up")


def assert_verified(engine: ReverseSync) -> None:
    """The product's own verification finds both sides equal."""
    report = engine.verify()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert (report.missing, report.extra, report.different) == (0, 0, 0)
    assert all(each.equal for each in report.tables)
    assert not report.problems


def _ways() -> list[AbstractContextManager[None]]:
    return [nullcontext(), taken_for_large(), taken_for_large(packed=False)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_every_table_when_it_changes_then_both_sides_are_equal(either: Any, kind: Kind) -> None:
    make(either, kind)
    engine = either.engine()
    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED, report
    seen = set()
    for number, statements in enumerate(kind.rounds):
        change(either, kind, statements)
        # By turns, so that every kind goes all ways.
        with _ways()[number % 3]:
            catch_up(engine)
        either.assert_equal()
        seen.add(str(sorted(either.contents(Side.TARGET).items())))
    assert len(seen) > 1, "the rounds change nothing"
    assert_verified(engine)
    assert engine.status().problems == ()
