"""Which segments lead on from a position, by names alone."""

import pytest

from failback.change_archive.chain import Range, covers, path_from
from failback.reverse_sync.pgoutput import Snapshot


@pytest.mark.parametrize(
    ("position", "ranges", "taken", "end", "resumes"),
    [
        (10, [], [], 10, None),
        (10, [(10, 20), (20, 30)], [(10, 20), (20, 30)], 30, None),
        (15, [(10, 20), (20, 30)], [(10, 20), (20, 30)], 30, None),
        (20, [(10, 20), (20, 30)], [(20, 30)], 30, None),
        (35, [(10, 20), (20, 30)], [], 35, None),
        # What a killed round left behind is covered by what came after it.
        (10, [(10, 20), (10, 25), (25, 30)], [(10, 25), (25, 30)], 30, None),
        (10, [(10, 20), (10, 25), (20, 40)], [(10, 25), (20, 40)], 40, None),
        (10, [(10, 20), (21, 30)], [(10, 20)], 20, 21),
        (10, [(12, 20)], [], 10, 12),
        (10, [(10, 10)], [], 10, None),
    ],
)
def test_path_when_segments_follow_overlap_or_are_missing_then_nothing_is_left_out(
    position: int,
    ranges: list[tuple[int, int]],
    taken: list[tuple[int, int]],
    end: int,
    resumes: int | None,
) -> None:
    found = path_from(position, [Range(*each) for each in reversed(ranges)])
    assert [(each.start, each.end) for each in found.ranges] == taken
    assert (found.end, found.resumes) == (end, resumes)


def test_name_when_it_is_read_back_then_it_is_the_same_range_and_names_sort_by_position() -> None:
    ranges = [Range(0x9F, 0x100, 7), Range(0x100, 0x1_0000_0000), Range(2**40, 2**41, 10**9)]
    assert [Range.parse(each.name) for each in ranges] == ranges
    assert sorted(each.name for each in ranges) == [each.name for each in ranges]
    for name in ("", "chain", "0-1-2", f"{ranges[0].name}.json"):
        assert Range.parse(name) is None


@pytest.mark.parametrize(
    ("later", "earlier", "does"),
    [
        ("10:10:", "10:10:", True),
        ("10:12:", "10:10:", True),
        ("10:10:", "10:12:", False),
        # Eleven has committed for the one and not for the other.
        ("11:12:11", "10:12:", False),
        ("10:12:", "11:12:11", True),
        ("11:20:11,15", "11:12:11", True),
    ],
)
def test_covers_when_two_snapshots_are_compared_then_running_transactions_decide(
    later: str, earlier: str, does: bool
) -> None:
    assert covers(Snapshot.parse(later), Snapshot.parse(earlier)) is does
