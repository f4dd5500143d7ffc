"""Rows are looked for only where they differ: what a comparison asks the servers for."""

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.digests import Comparison

from support.compared import ComparedPair

pytestmark = pytest.mark.servers

_LARGE = (
    "CREATE TABLE public.{name} (id bigint PRIMARY KEY, w text);"
    "INSERT INTO public.{name} SELECT g, md5(g::text) FROM generate_series(1, 20000) g"
)
_SMALL = "CREATE TABLE public.small (id int PRIMARY KEY); INSERT INTO public.small VALUES (1), (2)"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Each reading of chunks: its table, and whether rows were grouped into buckets."""
    seen: list[tuple[str, bool]] = []
    chunk = Comparison.chunk

    def told(self: Comparison, within: object, buckets: int, bounds: object = ()) -> object:
        seen.append((self.table.name, buckets > 1))
        return chunk(self, within, buckets, bounds)

    monkeypatch.setattr(Comparison, "chunk", told)
    monkeypatch.setattr("failback.reverse_sync.differences.CHUNK_BYTES", 2**19)
    return seen


def test_tables_when_equal_are_read_once_and_without_groups(
    pair: ComparedPair, readings: list[tuple[str, bool]]
) -> None:
    pair.run(_SMALL)
    pair.run(_LARGE.format(name="t"))
    report = pair.verify()
    assert report.outcome is Outcome.SUCCEEDED
    assert readings[0] == ("small", False)
    assert {grouped for _, grouped in readings} == {False}
    assert report.tables[0].target_rows == 2
    assert report.tables[1].target_rows == 20_000


def test_chunk_when_it_is_the_first_that_differs_is_read_again_in_buckets(
    pair: ComparedPair, readings: list[tuple[str, bool]]
) -> None:
    pair.run(_LARGE.format(name="t"))
    pair.quietly(Side.SOURCE, "UPDATE public.t SET w = '' WHERE id = 19999")
    (table,) = pair.verify().tables
    assert table.keys == ("different id=19999",)
    assert (table.source_rows, table.target_rows) == (20_000, 20_000)
    # Each chunk once, and the one that differs a second time.
    assert readings[0] == ("t", False)
    assert readings.count(("t", True)) == 1


def test_large_tables_when_a_small_one_differs_are_read_in_buckets_at_once(
    pair: ComparedPair, readings: list[tuple[str, bool]]
) -> None:
    pair.run(_SMALL)
    for name in ("t", "u"):
        pair.run(_LARGE.format(name=name))
    pair.quietly(Side.SOURCE, "DELETE FROM public.small WHERE id = 2")
    pair.quietly(Side.SOURCE, "DELETE FROM public.u WHERE id IN (1, 20000)")
    small, t, u = pair.verify().tables
    assert small.keys == ("missing id=2",)
    assert t.equal
    assert u.keys == ("missing id=1", "missing id=20000")
    assert readings[0] == ("small", False)
    assert ("t", False) not in readings
    assert ("u", False) not in readings
    assert (u.source_rows, u.target_rows) == (19_998, 20_000)
