"""Whether the live side's data hold what they must: business rules and foreign keys."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from failback.models.common import Outcome, Side
from failback.models.sync import RuleResult
from failback.providers.validation.looking import Look, listed, unknown, worst
from failback.reverse_sync.catalogue import read_tables
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.foreign_keys import check_foreign_key, read_foreign_keys
from failback.reverse_sync.rules import UNFINISHED, Rule, check_rule
from failback.sections.servers import TablesConfig


class IntegrityLook:
    """Asks the source in one read-only transaction. Blocking; nothing is locked or written.

    Args:
        servers: how to reach it.
        tables: whose foreign keys are checked.
        rules: SQL that must return no row.
        seconds: for all of it; what is not reached by then is not known.
    """

    def __init__(
        self, servers: Servers, tables: TablesConfig, rules: Sequence[Rule], seconds: float
    ) -> None:
        self._servers = servers
        self._tables = tables
        self._rules = rules
        self._seconds = seconds

    def look(self) -> Look:
        """Every rule, then every foreign key.

        Raises:
            UnreachableError, CredentialsError, MissingRightError, ConfigurationError.
        """
        deadline = time.monotonic() + self._seconds
        with (
            closing(self._servers.connect(Side.SOURCE, autocommit=True)) as session,
            self._servers.explaining(Side.SOURCE),
            session.transaction(),
        ):
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            results = list(self._results(session, deadline))
        broken = [one for one in results if one.violations and UNFINISHED not in one.detail]
        unfinished = [one.name for one in results if one.violations and UNFINISHED in one.detail]
        looks = [Look(Outcome.FAILED, _said(one)) for one in broken]
        if unfinished:
            looks.append(unknown(f"not known within {self._seconds:g} s: {listed(unfinished)}"))
        if not results:
            return unknown("no business rules are configured, and no foreign keys are there")
        if looks:
            return worst(looks)
        rules, keys = len(self._rules), len(results) - len(self._rules)
        return Look(Outcome.SUCCEEDED, f"{rules} business rules and {keys} foreign keys hold")

    def _results(self, session: Connection, deadline: float) -> Iterator[RuleResult]:
        for rule in self._rules:
            left = deadline - time.monotonic()
            yield check_rule(session, rule, left) if left > 0 else _unreached(rule.name)
        tables = read_tables(session, self._tables.include, self._tables.exclude)
        for key in read_foreign_keys(session, [table.oid for table in tables]):
            left = deadline - time.monotonic()
            yield check_foreign_key(session, key, left) if left > 0 else _unreached(key.name)


def _unreached(name: str) -> RuleResult:
    return RuleResult(name=name, violations=1, detail=UNFINISHED)


def _said(result: RuleResult) -> str:
    """Never an example: rows belong to the product."""
    return result.detail or f"{result.name}: {result.violations} rows"
