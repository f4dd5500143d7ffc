"""Validation on a real database: rules, foreign keys, and the times of statements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from failback.config import Estate
from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side
from failback.models.system import Item
from failback.providers.validation import open_validation

pytestmark = pytest.mark.servers
SHOP = """
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, price int);
INSERT INTO customers VALUES (1);
INSERT INTO orders VALUES (1, 1, 5);
"""
RULES = [{"name": "prices_are_positive", "sql": "SELECT id FROM orders WHERE price <= 0"}]
Validate = Callable[..., Any]


@pytest.fixture
def estate(databases: DatabasePair, tmp_path: Path) -> Callable[..., Estate]:
    with psycopg.connect(databases.source_dsn, autocommit=True) as session:
        session.execute(SHOP)

    def make(**more: Any) -> Estate:
        fields = {
            "estate": "shop",
            "source": {"dsn": databases.source_dsn},
            "target": {"dsn": databases.target_dsn},
            "traffic": {
                "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
                "routes": {"database": [{"backend": "rest"}]},
            },
            "business_rules": RULES,
        }
        validation = {"baseline": str(tmp_path / "b.json"), **more.pop("validation", {})}
        return Estate.model_validate({**fields, "validation": validation, **more})

    return make


async def item(estate: Estate, name: str) -> Item:
    validation = open_validation(estate)
    try:
        report = await validation.validate()
    finally:
        await validation.aclose()
    return next(one for one in report.items if one.name == name)


async def test_data_then_rules_and_foreign_keys_are_asked_and_broken_ones_named(
    estate: Callable[..., Estate], databases: DatabasePair
) -> None:
    well = await item(estate(), "data_integrity")
    assert (well.outcome, well.detail) == (
        Outcome.SUCCEEDED,
        "1 business rules and 1 foreign keys hold",
    )
    with psycopg.connect(databases.admin_dsn(Side.SOURCE), autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        session.execute("DELETE FROM customers")
        session.execute("UPDATE orders SET price = -1")
    broken = await item(estate(), "data_integrity")
    assert broken.outcome is Outcome.FAILED
    assert "prices_are_positive: 1 rows" in broken.detail
    assert "orders_customer_fkey: 1 rows" in broken.detail


@pytest.mark.parametrize(
    ("sql", "outcome", "told"),
    [
        ("SELECT pg_sleep(30)", Outcome.INCONCLUSIVE, "not known within 0.5 s: slow; public"),
        ("DELETE FROM orders RETURNING id", Outcome.FAILED, "slow cannot be run"),
        ("SELECT 1 FROM nowhere", Outcome.FAILED, '"nowhere" does not exist'),
    ],
)
async def test_rule_when_it_is_slow_writes_or_breaks_then_it_is_told_and_nothing_is_written(
    estate: Callable[..., Estate],
    databases: DatabasePair,
    sql: str,
    outcome: Outcome,
    told: str,
) -> None:
    rules = [{"name": "slow", "sql": sql}]
    limits = {"integrity_timeout_seconds": 0.5}
    found = await item(estate(business_rules=rules, validation=limits), "data_integrity")
    assert found.outcome is outcome, found.detail
    assert told in found.detail
    with psycopg.connect(databases.source_dsn) as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (1,)


async def test_statements_then_they_are_measured_and_compared(
    estate: Callable[..., Estate], databases: DatabasePair
) -> None:
    statements = [{"name": "orders", "sql": "SELECT * FROM orders;"}]
    limits = {"performance": {"statements": statements, "requests": 5, "slack_ms": 5000}}
    validation = open_validation(estate(validation=limits))
    report = await validation.record_baseline()
    await validation.aclose()
    assert [one.name for one in report.items] == ["statement orders"]
    assert report.outcome is Outcome.SUCCEEDED, report.detail
    found = await item(estate(validation=limits), "performance")
    assert found.outcome is Outcome.SUCCEEDED, found.detail
    with psycopg.connect(databases.source_dsn, autocommit=True) as session:
        session.execute("DROP TABLE orders")
    gone = await item(estate(validation=limits), "performance")
    assert gone.outcome is Outcome.FAILED
    assert "does not exist" in gone.detail


async def test_statement_when_it_writes_or_hangs_then_it_has_no_times(
    estate: Callable[..., Estate],
) -> None:
    statements = [
        {"name": "writes", "sql": "DELETE FROM orders RETURNING 1"},
        {"name": "hangs", "sql": "SELECT pg_sleep(30)"},
    ]
    limits = {"timeout_seconds": 0.3, "performance": {"statements": statements, "requests": 5}}
    validation = open_validation(estate(validation=limits))
    report = await validation.record_baseline()
    await validation.aclose()
    details = {one.name: one.detail for one in report.items}
    assert "read-only transaction" in details["statement writes"]
    assert details["statement hangs"] == "did not end within 0.3 s"
