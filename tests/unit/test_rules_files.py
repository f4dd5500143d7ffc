"""Files for Prometheus, Alertmanager and Grafana: their own tools accept them, and alerts fire."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from bench.support.prometheus import AMTOOL, MISSING, MISSING_ALERTMANAGER, PROMTOOL
from failback.decision.matrix import DEFAULT_RULES
from failback.decision.queries import default_queries
from failback.errors import ConfigurationError
from failback.models.messages import Audience
from failback.rules import alertmanager_file, define, grafana_file, prometheus_file
from failback.rules.writing import duration

STEP = 15
GOOD = 40
"""Steps before anything is wrong: 600 s."""
FIRST = (GOOD + 1) * STEP
"""The first moment that shows it."""
BAD = 100

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason=MISSING)
needs_amtool = pytest.mark.skipif(AMTOOL is None, reason=MISSING_ALERTMANAGER)

DEFINITIONS = define(DEFAULT_RULES, default_queries())
ALERTS = {one.name: one for one in (*DEFINITIONS.alerts, *DEFINITIONS.matrix)}


def counter(good: int, bad: int) -> str:
    """A counter's values: so much is added in each step, and from the 600th second on so much."""
    values, total = ["0"], 0
    for step in range(GOOD + BAD):
        total += good if step < GOOD else bad
        values.append(str(total))
    return " ".join(values)


def gauge(good: float, bad: float) -> str:
    return " ".join([f"{good:g}"] * (GOOD + 1) + [f"{bad:g}"] * BAD)


def outcomes(name: str) -> dict[str, str]:
    """Attempts that all succeed, then none of them."""
    return {f"{name}_attempts_total": counter(50, 50), f"{name}_success_total": counter(50, 0)}


def slow(bound: str) -> dict[str, str]:
    """No requests, then requests that all take longer than the buckets below a bound."""
    bounds = ["1.0", "1.5", "2.0", "5.0", "10.0", "15.0", "+Inf"]
    return {
        f'http_request_duration_seconds_bucket{{le="{le}"}}': counter(
            0, 100 if bounds.index(le) >= bounds.index(bound) else 0
        )
        for le in bounds
    }


FAILING = {
    'http_requests_total{code="200"}': counter(100, 0),
    'http_requests_total{code="500"}': counter(0, 100),
}
FULL = {
    "node_memory_MemTotal_bytes": gauge(100, 100),
    "node_memory_MemAvailable_bytes": gauge(50, 5),
}


class Case(NamedTuple):
    """Raw series that make one alert fire, and when its condition is true for the first time."""

    series: dict[str, str]
    first: float = FIRST


BEHIND = Case(
    {
        "migration_last_sync_timestamp": " ".join(
            str(min(n, GOOD) * STEP) for n in range(GOOD + BAD)
        )
    },
    GOOD * STEP + 300 + STEP,
)
CASES = {
    "CriticalErrorRateHigh": Case(FAILING),
    "ResponseTimeCritical": Case(slow("15.0")),
    "DataSyncFailure": BEHIND,
    "AuthenticationFailure": Case(outcomes("auth")),
    "SystemErrorRateOutOfBounds": Case(FAILING),
    "ResponseTimeP95OutOfBounds": Case(slow("10.0")),
    "DataSyncLagOutOfBounds": BEHIND,
    "DatabaseConnectionSuccessRateOutOfBounds": Case(outcomes("database_connection")),
    "UserAuthenticationSuccessRateOutOfBounds": Case(outcomes("auth")),
    "AiQuerySuccessRateOutOfBounds": Case(outcomes("ai_query")),
    "AuthFailureCritical": Case(outcomes("auth")),
    "ComponentsDown": Case({f'up{{instance="{n}"}}': gauge(1, n % 3 == 0) for n in (1, 2, 3)}),
    "ResponseTimeWarning": Case(slow("5.0")),
    "ErrorRateWarning": Case(FAILING),
    "ResourceUtilisation": Case(FULL),
    "ResponseTimeInvestigate": Case(slow("2.0")),
    "ErrorRateInvestigate": Case(FAILING),
}


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def rule_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "failback.rules.yml"
    path.write_text(prometheus_file(DEFINITIONS), encoding="utf-8")
    return path


def firing(name: str, at: float, *, fires: bool) -> dict[str, Any]:
    return {
        "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
        "eval_time": duration(at),
        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
    }


def check(rule_file: Path, case: Case, name: str, fires_at: float) -> str:
    """What `promtool test rules` has against an alert that fires at this moment, not before."""
    document = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": duration(STEP),
        "tests": [
            {
                "interval": duration(STEP),
                "input_series": [
                    {"series": series, "values": values} for series, values in case.series.items()
                ],
                "promql_expr_test": [
                    firing(name, fires_at - STEP, fires=False),
                    firing(name, fires_at, fires=True),
                    firing(name, fires_at + 2 * STEP, fires=True),
                ],
            }
        ],
    }
    path = rule_file.with_name(f"{name}.test.yml")
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    done = promtool("test", "rules", path)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_alerts_then_each_has_a_case() -> None:
    assert set(CASES) == set(ALERTS)
    assert len(DEFINITIONS.monitors) == 6
    assert len(DEFINITIONS.alerts) == 4 + 6


@needs_promtool
def test_rule_file_then_promtool_accepts_it(rule_file: Path) -> None:
    done = promtool("check", "rules", rule_file)
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {6 + 5 + len(ALERTS)} rules found" in done.stdout


@needs_promtool
@pytest.mark.parametrize("name", CASES)
def test_alert_then_it_fires_when_it_should_and_not_before(rule_file: Path, name: str) -> None:
    alert = ALERTS[name]
    case = CASES[name]
    assert check(rule_file, case, name, case.first + alert.sustained_seconds) == ""


@needs_promtool
def test_unit_tests_when_the_moment_is_wrong_then_promtool_says_so(rule_file: Path) -> None:
    late = FIRST + 60 + STEP
    assert "FAILED" in check(
        rule_file, CASES["CriticalErrorRateHigh"], "CriticalErrorRateHigh", late
    )


@pytest.mark.parametrize(
    ("metric", "windows"),
    [
        ("error_rate", ["1m", "1m"]),
        ("system_error_rate", ["1m", "1m"]),
        ("response_time_p95", ["5m"]),
        ("response_time_p95_ms", ["5m"]),
        ("database_connection_success_rate", ["1m", "1h", "1m"]),
        ("user_authentication_success_rate", ["1m", "1h", "1m"]),
        ("ai_query_success_rate", ["1m", "1h", "1m"]),
    ],
)
def test_query_then_its_windows_are_those_of_the_specification(
    metric: str, windows: list[str]
) -> None:
    assert re.findall(r"\[(\w+)\]", default_queries()[metric].promql) == windows


def test_specified_alerts_then_they_say_what_the_specification_says() -> None:
    told = {
        name: (one.promql, one.sustained_seconds, one.action, one.severity, set(one.audiences))
        for name, one in ALERTS.items()
        if one in DEFINITIONS.alerts[:4]
    }
    assert told == {
        "CriticalErrorRateHigh": (
            "system_error_rate > 0.05",
            60,
            "IMMEDIATE_ROLLBACK",
            "critical",
            {"on_call_engineer", "engineering_lead", "executives"},
        ),
        "ResponseTimeCritical": (
            "response_time_p95 > 10",
            180,
            "IMMEDIATE_ROLLBACK",
            "critical",
            {"on_call_engineer", "engineering_lead"},
        ),
        "DataSyncFailure": (
            "data_sync_lag > 300",
            0,
            "PAUSE_MIGRATION",
            "warning",
            {"engineering_team", "data_team"},
        ),
        "AuthenticationFailure": (
            "user_authentication_success_rate < 0.95",
            120,
            "IMMEDIATE_ROLLBACK",
            "critical",
            {"on_call_engineer", "product_team", "executives"},
        ),
    }


def test_matrix_when_an_estate_changes_it_then_so_does_the_file() -> None:
    changed = [
        rule.model_copy(update={"threshold": 0.2}) if rule.name == "error_rate_critical" else rule
        for rule in DEFAULT_RULES
        if rule.name != "components_down"
    ]
    written = prometheus_file(define(changed, default_queries('job="shop"')))
    assert "failback:error_rate > 0.2" in written
    assert "ComponentsDown" not in written
    assert 'http_requests_total{job="shop"}' in written


def alertmanager(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "alertmanager.yml"
    arguments = {"gateway_url": "https://failback.example", "token_file": "token", **changes}
    path.write_text(alertmanager_file(DEFINITIONS, **arguments), encoding="utf-8")
    return path


def amtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False
    )


OWN = {"executives": {"webhook_configs": [{"url": "https://example.test/hook"}]}}


@needs_amtool
@pytest.mark.parametrize("receivers", [None, OWN])
def test_routes_then_amtool_accepts_them(tmp_path: Path, receivers: Any) -> None:
    done = amtool("check-config", alertmanager(tmp_path, receivers=receivers))
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


@needs_amtool
@pytest.mark.parametrize("name", ALERTS)
def test_alert_then_it_goes_to_the_gateway_and_to_whom_it_is_for(tmp_path: Path, name: str) -> None:
    alert = ALERTS[name]
    labels = (f"alertname={name}", f"notifies={','.join(alert.audiences)}")
    path = alertmanager(tmp_path)
    done = amtool("config", "routes", "test", f"--config.file={path}", *labels)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.strip().split(",")) == {"failback", *alert.audiences}


def test_gateway_receiver_then_its_token_is_named_and_never_written(tmp_path: Path) -> None:
    document = yaml.safe_load(alertmanager(tmp_path).read_text())
    gateway = document["receivers"][0]["webhook_configs"][0]
    assert gateway["url"] == "https://failback.example/webhooks/alertmanager"
    assert gateway["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "token",
    }


@pytest.mark.parametrize(
    ("receivers", "said"),
    [
        ({"executive": {}}, r"did you mean executives\?"),
        ({"executives": ["slack"]}, "no mapping"),
        ({"executives": {"name": "x"}}, "without its name"),
    ],
)
def test_receivers_when_they_cannot_be_used_then_an_error_says_why(
    receivers: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        alertmanager_file(DEFINITIONS, "http://g", "token", receivers)


def test_audiences_when_an_estate_names_them_then_the_label_says_so() -> None:
    named = define(DEFAULT_RULES, default_queries(), {"DataSyncFailure": (Audience.EXECUTIVES,)})
    (alert,) = [one for one in named.alerts if one.name == "DataSyncFailure"]
    assert alert.audiences == ("executives",)


def test_dashboard_then_every_monitor_and_metric_has_a_panel_with_its_thresholds() -> None:
    dashboard = json.loads(grafana_file(DEFINITIONS, "shop"))
    panels = {panel["title"]: panel for panel in dashboard["panels"]}
    assert len(panels) == len(dashboard["panels"]) == 6 + 5 + 1
    shown = {target["expr"] for panel in panels.values() for target in panel["targets"]}
    assert {one.promql for one in DEFINITIONS.monitors} <= shown
    assert {promql for _, promql in DEFINITIONS.recorded} <= shown
    steps = panels["Decision: error rate"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [
        (None, "green"),
        (0.01, "yellow"),
        (0.02, "orange"),
        (0.05, "red"),
    ]
    below = panels["Authentications that succeed"]["fieldConfig"]["defaults"]["thresholds"]
    assert [step["color"] for step in below["steps"]] == ["red", "green"]
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels.values()}
    assert len(places) == len(panels)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.5, "500ms"), (15, "15s"), (60, "1m"), (90, "90s"), (3600, "1h")],
)
def test_duration_then_as_prometheus_writes_it(seconds: float, written: str) -> None:
    assert duration(seconds) == written
