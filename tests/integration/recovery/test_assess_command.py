"""`failback recovery assess` on a real server that was damaged."""

import json

import pytest

from failback.cli.entry import run

from support.recoveries import Damaged

pytestmark = pytest.mark.servers


def test_assess_when_a_schema_was_dropped_then_it_exits_1_and_says_which(
    estate: Damaged, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["recovery", "assess", "--config", str(estate.path()), "--json"]
    # Buckets and functions are not configured here, so that nobody can tell.
    assert run(command) == 3
    capsys.readouterr()
    estate.run("DROP SCHEMA auth CASCADE")
    assert run(command) == 1
    told = json.loads(capsys.readouterr().out)
    found = {one["part"]: one["condition"] for one in told["parts"]}
    assert (found["database"], found["auth"]) == ("corrupted", "gone")
    assert told["choice"]["backup"]
