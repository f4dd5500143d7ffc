"""Which tables a pattern means."""

import pytest

from failback.errors import UnknownTablePatternError
from failback.reverse_sync.catalogue import _matching

NAMES = ("auth.users", "failback.canary", "public.Order", "public.a.b", "public.note")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("public.*", {"public.Order", "public.a.b", "public.note"}),
        ("public.not?", {"public.note"}),
        ("*.users", {"auth.users"}),
        ("public.Order", {"public.Order"}),
        ("*", {"auth.users", "public.Order", "public.a.b", "public.note"}),
        ("failback.*", {"failback.canary"}),
    ],
)
def test_pattern_when_it_fits_then_those_tables_are_meant(pattern: str, expected: set[str]) -> None:
    assert _matching(NAMES, [pattern], "data.tables.include") == expected


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("public.notes", "public.note"),
        ("public.order", "public.Order"),
        ("public.[a-z]ote", "public.note"),
        ("nowhere.at_all", "auth, public"),
    ],
)
def test_pattern_when_it_fits_nothing_then_the_error_names_what_is_near(
    pattern: str, near: str
) -> None:
    with pytest.raises(UnknownTablePatternError) as raised:
        _matching(NAMES, ["public.*", pattern], "data.tables.include")
    assert pattern in raised.value.cause
    assert near in raised.value.cure
