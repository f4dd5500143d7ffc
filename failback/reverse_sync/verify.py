"""Compares both sides: rows by digests, then the source's foreign keys and business rules.

Changes when something else belongs to what a verification proves. Each side is read in one
snapshot. While both sides are fenced the answer is exact; otherwise rows that differ are looked
at again for a few seconds, because the source is allowed to be a moment behind.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from failback.models.common import Outcome, Side
from failback.models.sync import RuleResult, TableDigest, TableProblem, VerifyReport
from failback.reverse_sync import fence
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.differences import Comparer, Findings
from failback.reverse_sync.digests import Comparison, agreed_form, compared
from failback.reverse_sync.foreign_keys import ForeignKey, check_foreign_key, read_foreign_keys
from failback.reverse_sync.in_flight import settle
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.rules import RULE_TIMEOUT_SECONDS, Rule, check_rule
from failback.reverse_sync.sessions import Sessions, Snapshot
from failback.reverse_sync.statements import statement

EXAMPLES = 100
RECHECK_SECONDS = 5.0
# Below this, opening further sessions costs more than they bring.
_SMALL_BYTES = 8 * 2**20


def verify(
    servers: Servers,
    source_tables: Sequence[Table],
    target_tables: Sequence[Table],
    rules: Sequence[Rule] = (),
    *,
    foreign_keys: bool = True,
    progress: Progress | None = None,
    parallel: int = 4,
    sessions: Sessions | None = None,
    examples: int = EXAMPLES,
    recheck_seconds: float = RECHECK_SECONDS,
    rule_timeout_seconds: float = RULE_TIMEOUT_SECONDS,
) -> VerifyReport:
    """Compare the target's tables with those of the same name on the source.

    Args:
        servers: how to reach both sides.
        source_tables: the source's tables; those the target lacks are not looked at.
        target_tables: the target's tables.
        rules: SQL that must return no row on the source.
        foreign_keys: whether to check the source's foreign keys that touch the tables.
        progress: called about every second, and for each table; may raise to stop.
        parallel: queries at a time, over both sides.
        sessions: open sessions to be used and kept; own ones are opened and closed otherwise.
        examples: so many keys of differing rows are named for each table; counts are exact.
        recheck_seconds: for so long, while not both sides are fenced, differing rows (up to
            1 000 a table) are looked at again before they count.
        rule_timeout_seconds: a rule that takes longer has failed.

    Returns:
        `failed` when rows, columns, tables or rules disagree; `inconclusive` when something
        could not be looked at or never stood still; else `succeeded`. A key is written as
        `missing id=1`, with what is wrong with its row on the source.

    Raises:
        UnreachableError, CredentialsError, MissingRightError: as a server has it.
    """
    with ExitStack() as stack:
        if sessions is None:
            sessions = stack.enter_context(closing(Sessions(servers)))
        stack.enter_context(sessions.lock)
        work = _Verification(
            sessions,
            source_tables,
            target_tables,
            rules,
            rule_timeout_seconds,
            parallel,
            progress or _silent,
        )
        return work.run(foreign_keys=foreign_keys, examples=examples, recheck=recheck_seconds)


@dataclass
class _Verification:
    """One run with what it has found so far."""

    sessions: Sessions
    source_tables: Sequence[Table]
    target_tables: Sequence[Table]
    rules: Sequence[Rule]
    rule_timeout: float
    parallel: int
    progress: Progress
    problems: list[TableProblem] = field(default_factory=list)
    failed: bool = False
    notes: list[str] = field(default_factory=list)

    def run(self, *, foreign_keys: bool, examples: int, recheck: float) -> VerifyReport:
        started, clock = datetime.now(UTC), time.monotonic()
        fenced_before = self._fenced()
        findings, checks, rules = self._look(foreign_keys=foreign_keys)
        exact = fenced_before and self._fenced()
        unsettled = 0
        if not exact and any(found.total for found in findings):
            unsettled = settle(self.sessions, findings, recheck, self.progress, self.notes)
        digests = tuple(_table_digest(found, examples) for found in findings)
        if any(
            not digest.equal or found.total for digest, found in zip(digests, findings, strict=True)
        ):
            self.failed = True
        if any(check.violations for check in (*checks, *rules)):
            self.failed = True
        outcome = Outcome.SUCCEEDED
        if self.failed or unsettled or self.problems:
            outcome = Outcome.FAILED if self.failed else Outcome.INCONCLUSIVE
        return VerifyReport(
            outcome=outcome,
            exact=exact,
            started_at=started,
            seconds=time.monotonic() - clock,
            tables=digests,
            rules=rules,
            foreign_keys=checks,
            problems=tuple(self.problems),
            detail=" ".join(self.notes),
        )

    def _fenced(self) -> bool:
        """Whether both sides refuse writes now."""
        return all(fence.is_up(self.sessions.leader(side)) is True for side in Side)

    def _look(
        self, *, foreign_keys: bool
    ) -> tuple[list[Findings], tuple[RuleResult, ...], tuple[RuleResult, ...]]:
        """Everything that is read inside the two snapshots."""
        with (
            Snapshot(self.sessions, Side.TARGET) as target,
            Snapshot(self.sessions, Side.SOURCE) as source,
            ThreadPoolExecutor(max_workers=max(2, self.parallel)) as executor,
        ):
            snapshots = {Side.SOURCE: source, Side.TARGET: target}
            try:
                comparisons = self._comparisons(snapshots)
                if sum(size for _, size in comparisons) > _SMALL_BYTES:
                    for snapshot in snapshots.values():
                        snapshot.widen(max(1, self.parallel // 2))
                keys = self._foreign_keys(source) if foreign_keys else ()
                comparer = Comparer(snapshots, executor)
                comparer.start(comparisons)
                # Behind the tables: a slow rule would keep a session that they wait for.
                checks = [executor.submit(_foreign_key, source, key) for key in keys]
                rules = [
                    executor.submit(_rule, source, rule, self.rule_timeout) for rule in self.rules
                ]
                findings = comparer.finish(self._finished, self._tick)
                return findings, self._results(checks), self._results(rules)
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                for snapshot in snapshots.values():
                    snapshot.stop()
                raise

    def _comparisons(self, snapshots: Mapping[Side, Snapshot]) -> list[tuple[Comparison, int]]:
        """How each table is compared, with its size; what cannot be compared is a problem."""
        on_source = {table.qualified: table for table in self.source_tables}
        pairs = []
        for theirs in self.target_tables:
            ours = on_source.get(theirs.qualified)
            if ours is None:
                self.failed = True
                cure = "Create it on the source as it is on the target."
                self._problem(theirs, "The source has no such table.", cure)
            else:
                pairs.append((ours, theirs))
        sizes = {side: self._sizes(snapshots[side], side, pairs) for side in Side}
        bytewise = self._bytewise(snapshots, pairs)
        with snapshots[Side.SOURCE].session() as one, snapshots[Side.TARGET].session() as other:
            form = agreed_form([one, other])
        comparisons = []
        for ours, theirs in pairs:
            unread = [side for side in Side if not sizes[side][theirs.qualified][1]]
            for side in unread:
                cure = f"GRANT SELECT ON {theirs.identifier.as_string()} TO failback's role."
                self._problem(theirs, f"failback may not read it on the {side.value}.", cure)
            if unread:
                continue
            comparison, problems = compared(ours, theirs, form, bytewise)
            self.problems.extend(problems)
            self.failed = self.failed or bool(problems)
            if any(name not in {column.name for column in ours.columns} for name in theirs.key):
                continue
            size = max(sizes[side][theirs.qualified][0] for side in Side)
            comparisons.append((comparison, size))
        return comparisons

    def _problem(self, table: Table, problem: str, cure: str) -> None:
        self.problems.append(TableProblem(table=table.qualified, problem=problem, cure=cure))

    def _sizes(
        self, snapshot: Snapshot, side: Side, pairs: Sequence[tuple[Table, Table]]
    ) -> dict[str, tuple[int, bool]]:
        """Bytes, and whether it may be read, by table."""
        names = {_on(side, pair).oid: pair[1].qualified for pair in pairs}
        with snapshot.session() as session:
            rows = session.execute(statement("digest_sizes"), {"tables": list(names)}).fetchall()
        return {names[oid]: (size, readable) for oid, size, readable in rows}

    def _bytewise(
        self, snapshots: Mapping[Side, Snapshot], pairs: Sequence[tuple[Table, Table]]
    ) -> dict[int, frozenset[str]]:
        """By a table's oid on the target, the text columns that sort by bytes on both sides."""
        found: dict[Side, set[tuple[str, str]]] = {}
        for side, snapshot in snapshots.items():
            names = {_on(side, pair).oid: pair[1].qualified for pair in pairs}
            with snapshot.session() as session:
                rows = session.execute(statement("digest_collations"), {"tables": list(names)})
                found[side] = {(names[oid], column) for oid, column in rows}
        both = found[Side.SOURCE] & found[Side.TARGET]
        return {
            theirs.oid: frozenset(column for table, column in both if table == theirs.qualified)
            for _, theirs in pairs
        }

    def _foreign_keys(self, source: Snapshot) -> tuple[ForeignKey, ...]:
        wanted = {table.qualified for table in self.target_tables}
        oids = [table.oid for table in self.source_tables if table.qualified in wanted]
        with source.session() as session:
            return read_foreign_keys(session, oids)

    def _results(self, futures: Sequence[Future[RuleResult]]) -> tuple[RuleResult, ...]:
        results = []
        for future in futures:
            while True:
                try:
                    results.append(future.result(timeout=1.0))
                    break
                except TimeoutError:
                    self.progress("Checking foreign keys and business rules.")
        return tuple(results)

    def _finished(self, found: Findings) -> None:
        rows = found.digests[Side.TARGET].rows
        self.progress(f"Compared {found.comparison.table.qualified}: {rows} rows.")

    def _tick(self) -> None:
        self.progress("Comparing both sides.")


def _table_digest(found: Findings, examples: int) -> TableDigest:
    table = found.comparison.table
    named = (
        f"{difference.kind} "
        + ", ".join(f"{n}={v}" for n, v in zip(table.key, difference.key, strict=True))
        for difference in sorted(found.differences, key=lambda each: each.key)[:examples]
    )
    source, target = found.digests[Side.SOURCE], found.digests[Side.TARGET]
    return TableDigest(
        table=table.qualified,
        source_rows=source.rows,
        target_rows=target.rows,
        source_digest=str(source),
        target_digest=str(target),
        missing=found.counts["missing"],
        extra=found.counts["extra"],
        different=found.counts["different"],
        keys=tuple(named),
        seconds=found.seconds,
    )


def _rule(source: Snapshot, rule: Rule, timeout_seconds: float) -> RuleResult:
    with source.session() as session:
        return check_rule(session, rule, timeout_seconds)


def _foreign_key(source: Snapshot, key: ForeignKey) -> RuleResult:
    with source.session() as session:
        return check_foreign_key(session, key)


def _on(side: Side, pair: tuple[Table, Table]) -> Table:
    return pair[0] if side is Side.SOURCE else pair[1]


def _silent(_: str) -> None:
    """Nobody listens."""
