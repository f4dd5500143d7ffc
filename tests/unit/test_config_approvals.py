"""Who must approve what, as the configuration says it or leaves it out."""

from typing import Any

import pytest

from support.fake_estate import estate_of


@pytest.mark.parametrize(
    ("levels", "level", "quorum"),
    [
        ({}, 1, 0),
        ({}, 2, 1),
        ({2: {"roles": ["operations"]}}, 2, 1),
        ({2: {"quorum": 0}}, 2, 0),
        ({1: {"quorum": 2}}, 1, 2),
    ],
)
def test_quorum_when_left_out_then_only_level_1_acts_without_asking(
    levels: dict[int, Any], level: int, quorum: int
) -> None:
    estate = estate_of("approvals", "127.0.0.1:1", approvals={"levels": levels})
    assert estate.plan(level).approval.quorum == quorum
