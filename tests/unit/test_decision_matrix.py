"""The matrix: the specification's rows, and what an estate may change about them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.config import load
from failback.decision.matrix import DEFAULT_RULES
from failback.decision.ranges import POINTS, ranges, step_for
from failback.errors import ConfigurationError
from failback.models.decision import DecisionKind, Rule, RuleClass

from support.evidence import AT, rule

ESTATE: dict[str, Any] = {
    "estate": "shop",
    "source": {"dsn": "postgresql://source"},
    "target": {"dsn": "postgresql://target"},
    "traffic": {
        "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
        "routes": {"database": [{"backend": "one"}]},
    },
}
SPECIFIED = {
    ("critical", "error_rate", ">", 0.05, 60, 0, "IMMEDIATE_ROLLBACK", 1),
    ("critical", "response_time_p95_ms", ">", 10_000, 180, 0, "IMMEDIATE_ROLLBACK", 1),
    ("critical", "data_corruption", ">=", 1, 0, 3600, "IMMEDIATE_ROLLBACK", 1),
    ("critical", "auth_failure_rate", ">", 0.1, 120, 0, "IMMEDIATE_ROLLBACK", 1),
    ("critical", "components_down", ">", 0.5, 30, 0, "IMMEDIATE_ROLLBACK", 1),
    ("warning", "response_time_p95_ms", ">", 2_000, 600, 0, "ROLLBACK_WITH_APPROVAL", 2),
    ("warning", "error_rate", ">", 0.02, 300, 0, "ROLLBACK_WITH_APPROVAL", 2),
    ("warning", "resource_utilisation", ">", 0.9, 600, 0, "ROLLBACK_WITH_APPROVAL", 2),
    ("warning", "customer_complaints", ">=", 5, 0, 1800, "ROLLBACK_WITH_APPROVAL", 2),
    ("investigate", "response_time_p95_ms", ">", 1_500, 1200, 0, "PAUSE_AND_INVESTIGATE", 0),
    ("investigate", "error_rate", ">", 0.01, 600, 0, "PAUSE_AND_INVESTIGATE", 0),
    ("investigate", "anomaly_score", ">=", 1, 0, 0, "PAUSE_AND_INVESTIGATE", 0),
}


def loaded(tmp_path: Path, **changes: object) -> tuple[Rule, ...]:
    path = tmp_path / "failback.yaml"
    path.write_text(yaml.safe_dump({**ESTATE, **changes}), encoding="utf-8")
    return load(path).rules


def test_example_on_the_page_then_it_is_a_matrix(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "detection.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    rules = by_name(loaded(tmp_path, **yaml.safe_load(example.group(1))))
    assert rules["error_rate_critical"].threshold == 0.08
    assert rules["checkout"].metric == "checkout_errors"


def by_name(rules: tuple[Rule, ...]) -> dict[str, Rule]:
    return {one.name: one for one in rules}


def test_default_rules_then_they_are_the_rows_of_the_specification() -> None:
    rows = {
        (
            one.rule_class.value,
            one.metric,
            one.comparison,
            one.threshold,
            one.sustained_seconds,
            one.within_seconds,
            one.decision.value,
            one.level,
        )
        for one in DEFAULT_RULES
    }
    assert rows == SPECIFIED
    assert len(DEFAULT_RULES) == len({one.name for one in DEFAULT_RULES}) == len(SPECIFIED)


def test_rules_when_nothing_is_configured_then_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path) == DEFAULT_RULES


def test_rule_when_overridden_then_only_what_is_named_changes(tmp_path: Path) -> None:
    change = {"threshold": 0.08, "sustained_seconds": 90}
    rules = loaded(tmp_path, decision={"rules": {"error_rate_critical": change}})
    before, after = by_name(DEFAULT_RULES), by_name(rules)
    assert after.pop("error_rate_critical") == before.pop("error_rate_critical").model_copy(
        update=change
    )
    assert after == before


def test_rule_when_its_decision_changes_then_its_level_follows(tmp_path: Path) -> None:
    change = {"decision": "ROLLBACK_WITH_APPROVAL"}
    rules = loaded(tmp_path, decision={"rules": {"components_down": change}})
    assert by_name(rules)["components_down"].level == 2


def test_rule_when_disabled_then_it_is_left_out(tmp_path: Path) -> None:
    rules = loaded(tmp_path, decision={"rules": {"unusual_pattern": {"enabled": False}}})
    assert set(by_name(DEFAULT_RULES)) - set(by_name(rules)) == {"unusual_pattern"}


def test_rule_when_added_with_its_query_then_it_stands_after_the_others(tmp_path: Path) -> None:
    rules = loaded(
        tmp_path,
        metrics={
            "prometheus_url": "http://127.0.0.1:9090",
            "queries": {"checkout_errors": {"promql": "sum(checkout_errors)"}},
        },
        decision={
            "rules": {
                "checkout": {
                    "rule_class": "warning",
                    "metric": "checkout_errors",
                    "threshold": 3,
                    "sustained_seconds": 120,
                }
            }
        },
    )
    assert rules[:-1] == DEFAULT_RULES
    assert rules[-1] == Rule(
        name="checkout",
        rule_class=RuleClass.WARNING,
        metric="checkout_errors",
        threshold=3,
        sustained_seconds=120,
        decision=DecisionKind.ROLLBACK_WITH_APPROVAL,
        level=2,
    )


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("error_rate_critcal", {"threshold": 0.1}, "did you mean error_rate_critical?"),
        ("mine", {"metric": "eror_rate", "threshold": 1}, "did you mean error_rate?"),
        ("error_rate_critical", {"metric": "error_rat"}, "did you mean error_rate?"),
        ("error_rate_critical", {"sustained_seconds": -1}, "greater than or equal to 0"),
        ("customer_complaints", {"within_seconds": -60}, "greater than or equal to 0"),
        ("customer_complaints", {"within_seconds": 0}, "it needs within_seconds"),
        ("error_rate_critical", {"within_seconds": 60}, "no count of events"),
        ("error_rate_critical", {"decision": "IMEDIATE_ROLLBACK"}, "mean IMMEDIATE_ROLLBACK?"),
        ("error_rate_critical", {"decision": "CONTINUE_MIGRATION"}, "decides nothing"),
        ("error_rate_critical", {"level": 0}, "at level 0"),
        ("error_rate_critical", {"level": 5}, "less than or equal to 4"),
        ("error_rate_critical", {"rule_class": "critcal"}, "did you mean critical?"),
        ("error_rate_critical", {"comparison": "=>"}, "'>', '>='"),
        ("error_rate_critical", {"threshold": float("nan")}, "finite"),
        ("error_rate_critical", {"treshold": 1}, "did you mean threshold?"),
    ],
)
def test_rule_when_it_cannot_be_meant_then_an_error_says_what_could(
    tmp_path: Path, name: str, change: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, decision={"rules": {name: change}})
    assert said in str(raised.value)
    assert name in str(raised.value)


def test_mode_when_unknown_then_the_nearest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean automatic\?"):
        loaded(tmp_path, decision={"mode": "automatc"})


def test_watched_metric_when_unknown_then_the_nearest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean request_rate\?"):
        loaded(tmp_path, decision={"anomaly": {"metrics": ["requests_rate"]}})


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"prometheus_url": "localhost:9090"}, "http://"),
        ({"prometheus_url": "http://p", "bearer_token": "t", "username": "u"}, "not both"),
    ],
)
def test_metrics_when_they_cannot_be_read_so_then_an_error_says_why(
    tmp_path: Path, metrics: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        loaded(tmp_path, metrics=metrics)


@pytest.mark.parametrize(
    "times", [(60, 300, 600), (180, 600, 1200), (30,), (61, 300), (0,), (7.5,)]
)
def test_step_then_ten_fit_into_the_shortest_time_and_every_time_is_a_multiple(
    times: tuple[float, ...],
) -> None:
    step = step_for(times)
    for seconds in times:
        assert seconds == 0 or seconds / step >= POINTS
        assert abs(seconds / step - round(seconds / step)) < 1e-6


def test_step_when_times_share_no_useful_divisor_then_the_range_stays_small() -> None:
    step = step_for((60.001, 86_400))
    assert 86_400 / step <= 10_000
    assert step_for((60.001, 3_600)) == pytest.approx(6.0001)


def test_ranges_then_one_for_each_metric_with_room_for_its_longest_time() -> None:
    reads = {one.metric: one for one in ranges(DEFAULT_RULES, AT)}
    assert set(reads) == {one.metric for one in DEFAULT_RULES if not one.within_seconds}
    assert all(one.end == AT for one in reads.values())
    assert (AT - reads["response_time_p95_ms"].start).total_seconds() == 1200 + 2 * 15
    assert reads["error_rate"].step_seconds == 6


def test_ranges_when_only_the_newest_is_asked_for_then_a_short_one() -> None:
    (read,) = ranges([rule(sustained=0)], AT)
    assert 60 <= (read.end - read.start).total_seconds() <= 120
