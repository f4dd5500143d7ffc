"""Business rules: an operator's SQL that must return no row.

Changes when a rule may do or say something else.
"""

from typing import LiteralString, Protocol

import psycopg
from psycopg import sql

from failback.models.sync import RuleResult
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

RULE_TIMEOUT_SECONDS = 60.0
UNFINISHED = "It did not end within"
"""How the detail of a check begins that was stopped."""
_EXAMPLE_CHARACTERS = 200


class Rule(Protocol):
    """A rule as the configuration describes it."""

    @property
    def name(self) -> str:
        """What the rule is called."""

    @property
    def sql(self) -> str:
        """A query that returns the rows that break the rule."""


def check_rule(
    session: Connection, rule: Rule, timeout_seconds: float = RULE_TIMEOUT_SECONDS
) -> RuleResult:
    """Run one rule inside a read-only transaction, which goes on whatever the rule does.

    A rule that cannot be run counts as one violation, with the server's words as its detail.
    """
    text: LiteralString = rule.sql.strip().rstrip(";")
    query = sql.SQL(statement("verify_rule")).format(rule=sql.SQL(text))
    return run_check(session, rule.name, query, timeout_seconds)


def run_check(
    session: Connection, name: str, query: sql.Composed, timeout_seconds: float
) -> RuleResult:
    """Run a query for (violations, example) rows inside a read-only transaction."""
    milliseconds = max(1, round(timeout_seconds * 1000))
    try:
        # The inner transaction is a savepoint: it is rolled back with the timeout and the
        # search_path that it sets, and a failure inside leaves the snapshot usable.
        with session.transaction(force_rollback=True):
            session.execute(f"SET LOCAL statement_timeout = {milliseconds}")
            session.execute("SET LOCAL search_path = public, pg_catalog")
            # One statement only: the extended protocol takes no second one.
            rows = session.execute(query, binary=True).fetchall()
    except psycopg.errors.QueryCanceled:
        return RuleResult(
            name=name,
            violations=1,
            detail=f"{UNFINISHED} {timeout_seconds:g} s; its answer is not known.",
        )
    except psycopg.Error as error:
        if session.closed:
            raise
        why = error.diag.message_primary or str(error)
        return RuleResult(name=name, violations=1, detail=f"{name} cannot be run: {why}.")
    return RuleResult(
        name=name,
        violations=rows[0][0] if rows else 0,
        examples=tuple(str(row[1])[:_EXAMPLE_CHARACTERS] for row in rows),
    )
