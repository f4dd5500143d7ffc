"""Labelled incidents on a real Prometheus: right decisions, also after everything restarted."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.incidents.__main__ import ACCURACY, FALSE_POSITIVES, table
from bench.incidents.replay import (
    Decided,
    by_last_known,
    by_newest_alone,
    by_shape,
    decide,
    score,
)
from bench.incidents.simulation import incidents, openmetrics
from bench.support.prometheus import MISSING, PROMETHEUS, PROMTOOL, Prometheus, backfill
from failback.models.decision import DecisionKind

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(PROMETHEUS is None or PROMTOOL is None, reason=MISSING),
]

TABLE = incidents()
SHAPES = {
    "sustained",
    "too short",
    "flapping",
    "gap",
    "restart",
    "slow burn",
    "two at once",
    "no traffic",
    "stale",
    "single",
    "events",
}
CONFIG = """
estate: shop
source: {{dsn: "postgresql://unused"}}
target: {{dsn: "postgresql://unused"}}
traffic:
  balancer: {{runtime_api: "tcp://127.0.0.1:1"}}
  routes: {{database: [{{backend: database}}]}}
audit: {{file: {folder}/audit.sqlite3}}
metrics: {{prometheus_url: "{url}", selector: 'incident="{incident}"'}}
decision: {{rules: {{unusual_pattern: {{enabled: false}}}}}}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    """A Prometheus that is not running, with every incident in its store."""
    server = Prometheus(tmp_path_factory.mktemp("incidents"))
    backfill(openmetrics(TABLE), server.data)
    return server


@pytest.fixture(scope="module")
def decided(store: Prometheus) -> Iterator[list[Decided]]:
    """Every decision, taken by one process after the other, in the order of time."""

    async def all_of_them() -> list[Decided]:
        return [one for each in TABLE for one in await decide(each, each.looked_at(), store.url)]

    with store.running():
        yield asyncio.run(all_of_them())


def test_table_then_it_holds_every_shape_and_every_decision() -> None:
    assert len({one.name for one in TABLE}) == len(TABLE) >= 60
    assert {one.shape for one in TABLE} >= SHAPES
    labels = [look for one in TABLE for look in one.looked_at()]
    assert {look.decision for look in labels} == set(DecisionKind)
    assert all(len(one.looks) >= 2 for one in TABLE)


def test_decisions_then_they_are_as_right_as_the_specification_asks(
    decided: list[Decided],
) -> None:
    found = score(decided)
    told = "\n".join(table(decided))
    assert found.accuracy >= ACCURACY, told
    assert found.false_positives <= FALSE_POSITIVES, told


def test_decisions_of_each_shape_then_none_hides_behind_the_others(decided: list[Decided]) -> None:
    for shape, found in by_shape(decided).items():
        assert found.accuracy >= 0.9, shape
        assert found.too_grave <= 1, shape


def test_simpler_ways_on_the_same_evidence_then_the_labels_refuse_them(
    decided: list[Decided],
) -> None:
    newest, filled = score(by_newest_alone(decided)), score(by_last_known(decided))
    assert newest.accuracy < ACCURACY
    assert newest.false_positives > FALSE_POSITIVES
    assert filled.accuracy < score(decided).accuracy
    assert filled.too_grave > score(decided).too_grave


def test_decisions_when_everything_restarted_in_between_then_the_same(
    store: Prometheus, decided: list[Decided]
) -> None:
    """Prometheus was killed; each decision is taken by objects that know nothing of another."""
    before = {(one.incident.name, one.look): one.assessment for one in decided}
    store.crash()
    for incident in reversed(TABLE):
        look = incident.looked_at()[len(incident.looks) // 2]
        (one,) = asyncio.run(decide(incident, [look], store.url))
        assert one.assessment == before[incident.name, look], one


@pytest.mark.parametrize("name", ["errors-of-eight-percent", "store-away-for-a-minute"])
def test_command_when_asked_about_the_past_then_it_says_the_same(
    store: Prometheus, decided: list[Decided], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, url=store.url, incident=name))
    program = Path(sys.executable).parent / "failback"
    for one in [one for one in decided if one.incident.name == name][:2]:
        at = datetime.fromtimestamp(one.incident.onset + one.look.seconds, UTC)
        done = subprocess.run(
            [program, "-c", path, "decide", "--at", at.isoformat(), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        document = json.loads(done.stdout)
        assert document["decision"] == one.assessment.decision.value, done.stderr
        assert document["conclusive"] == one.assessment.conclusive
        assert document["readings"] == json.loads(one.assessment.model_dump_json())["readings"]
