"""A configuration that does not fit: each unknown key is named, with the nearest known one."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.config import load
from failback.errors import ConfigurationError
from failback.models.common import StepName
from failback.models.traffic import BackendRoute

WORKFLOWS = Path(__file__).parents[2] / "workflows"

Write = Callable[..., Path]


def whole() -> dict[str, Any]:
    """An estate with every kind of section, list and mapping."""
    return {
        "estate": "shop-eu",
        "source": {"dsn": "postgresql://source"},
        "target": {"dsn": "postgresql://target"},
        "data": {"tables": {"include": ["public.*"]}},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
            "routes": {"database": [{"backend": "one"}, {"backend": "two"}]},
        },
        "dns": {
            "server": "127.0.0.1:53",
            "zone": "example.test.",
            "tsig": {"name": "key", "secret": "c2VjcmV0"},
            "records": [{"name": "api.example.test.", "source": "s.", "target": "t."}],
        },
        "checks": {"api_url": "http://127.0.0.1:1", "journey": {"email_domain": "x.test"}},
        "business_rules": [{"name": "none", "sql": "select 1 where false"}],
        "approvals": {"people": {"alice": ["lead"]}, "levels": {2: {"quorum": 1}}},
        "budgets": {"fence": 3},
        "sync": {"flip_with_tail": False},
        "notifications": {"operators": {"kind": "log"}},
        "telemetry": {"otlp_endpoint": ""},
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(document: object) -> Path:
        path = tmp_path / "failback.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    return written


def put(document: Any, steps: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Set one value deep in a document."""
    inner = document
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    return dict(document)


def test_estate_with_every_section_when_loaded_then_it_fits(write: Write) -> None:
    estate = load(write(whole()))

    assert estate.plan(2).budgets == {"fence": 3.0}
    assert estate.plan(2).approval.people == {"alice": ("lead",)}


@pytest.mark.parametrize(
    ("steps", "nearest"),
    [
        (("estat",), "estate"),
        (("source", "dns"), "dsn"),
        (("data", "tables", "includes"), "include"),
        (("traffic", "balancer", "runtimeapi"), "runtime_api"),
        (("traffic", "routes", "databse"), "database"),
        (("traffic", "routes", "database", 1, "sourc"), "source"),
        (("dns", "tsig", "secrt"), "secret"),
        (("dns", "records", 0, "tll"), "ttl"),
        (("checks", "journey", "email_domian"), "email_domain"),
        (("business_rules", 0, "query"), "sql"),
        (("approvals", "level"), "levels"),
        (("approvals", "levels", 2, "quorom"), "quorum"),
        (("budgets", "fense"), "fence"),
        (("sync", "flip_with_tails"), "flip_with_tail"),
        (("notifications", "operators", "urll"), "url"),
        (("telemetry", "otlp_endpiont"), "otlp_endpoint"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else value,
)
def test_unknown_key_when_loaded_then_it_is_named_once_with_the_nearest_known_one(
    write: Write, steps: tuple[str | int, ...], nearest: str
) -> None:
    path = write(put(whole(), steps, "x"))

    with pytest.raises(ConfigurationError) as refused:
        load(path)

    where = ".".join(str(step) for step in steps)
    assert f"unknown key {where} (did you mean {nearest}?)" in refused.value.cause
    assert refused.value.cause.count("unknown key") == 1
    assert refused.value.cure


def test_unknown_keys_and_wrong_values_when_loaded_then_all_are_told_at_once(write: Write) -> None:
    document = put(whole(), ("dns", "records", 0, "tll"), 30)
    document = put(document, ("data", "parallel"), 0)
    document = put(document, ("approvals", "levels", "two"), {"quorum": 1})

    with pytest.raises(ConfigurationError) as refused:
        load(write(document))

    assert "dns.records.0.tll" in refused.value.cause
    assert "data.parallel" in refused.value.cause
    assert "approvals.levels.two" in refused.value.cause


@pytest.mark.parametrize(
    ("steps", "value", "told"),
    [
        (("budgets", "fence"), 0, "budgets.fence"),
        (("sync", "unarmed"), "refuze", "refuse"),
        (("approvals", "levels", 5), {"quorum": 1}, "level 5 does not exist"),
        (("traffic", "routes", "auth"), [], "service auth has no backend"),
        (("dns", "records"), "api", "dns.records"),
        (("dns", "records", 0), "api", "dns.records.0"),
        (("source",), None, "source"),
        (("source",), ["postgresql://x"], "source"),
    ],
)
def test_value_that_does_not_fit_when_loaded_then_its_key_is_named(
    write: Write, steps: tuple[str | int, ...], value: object, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load(write(put(whole(), steps, value)))


def test_key_that_is_no_text_when_loaded_then_it_is_an_unknown_key(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="unknown key 7"):
        load(write({**whole(), 7: "x"}))


def test_secret_in_a_value_that_does_not_fit_when_loaded_then_it_is_not_repeated(
    write: Write,
) -> None:
    document = put(whole(), ("source",), "postgresql://failback:planted@host/db")

    with pytest.raises(ConfigurationError) as refused:
        load(write(document))

    assert "planted" not in str(refused.value)


def test_payload_with_an_unknown_field_when_read_then_it_is_ignored() -> None:
    newer = {"backend": "one", "added_later": True}

    assert BackendRoute.model_validate(newer) == BackendRoute(backend="one")


def test_steps_with_a_budget_then_the_configuration_knows_each_and_no_other() -> None:
    named = {
        node.args[0].value
        for path in WORKFLOWS.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "budget"
        and isinstance(node.args[0], ast.Constant)
    }

    assert named == {step.value for step in StepName}
