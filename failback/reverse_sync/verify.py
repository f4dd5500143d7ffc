"""Compares both sides: rows by digests, then the source's foreign keys and business rules.

Changes when something else belongs to what a verification proves. Each side is read in one
snapshot. While both sides are fenced the answer is exact; otherwise rows that differ are looked
at again for a few seconds, because the source is allowed to be a moment behind. With a ledger
only the chunks are read that may have changed since both sides agreed on them.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from psycopg import sql

from failback.models.common import Outcome, Side
from failback.models.sync import RuleResult, TableDigest, VerifyReport
from failback.reverse_sync import fence
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.differences import KEPT, Comparer, Findings, Job
from failback.reverse_sync.foreign_keys import TIMEOUT_SECONDS, ForeignKey, check_foreign_key
from failback.reverse_sync.in_flight import settle
from failback.reverse_sync.ledgered import NONE, Ledgered, LedgerUse
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.prepared import Catalogues, Prepared
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.rules import RULE_TIMEOUT_SECONDS, UNFINISHED, Rule, check_rule
from failback.reverse_sync.sessions import Sessions, Snapshot

_T = TypeVar("_T")

EXAMPLES = 100
RECHECK_SECONDS = 5.0
# Below this, opening further sessions costs more than they bring.
_SMALL_BYTES = 8 * 2**20
# Inside a fence a customer waits for the answer: one that takes longer is not known.
_GAP_SECONDS = 30.0


class TooMuchError(Exception):
    """More would have to be read than was allowed."""


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
        As `Verification.run`.

    Raises:
        UnreachableError, CredentialsError, MissingRightError: as a server has it.
    """
    tables = {Side.SOURCE: tuple(source_tables), Side.TARGET: tuple(target_tables)}
    with ExitStack() as stack:
        if sessions is None:
            sessions = stack.enter_context(closing(Sessions(servers)))
        work = Verification(
            sessions,
            Catalogues(lambda _: tables),
            rules,
            foreign_keys=foreign_keys,
            progress=progress or _silent,
            parallel=parallel,
            examples=examples,
            recheck_seconds=recheck_seconds,
            rule_timeout_seconds=rule_timeout_seconds,
        )
        return work.run()


@dataclass
class Verification:
    """One comparison, with what it has found so far.

    Args:
        sessions: open sessions to be used and kept.
        catalogues: what is known about the tables from the last time.
        rules: SQL that must return no row on the source.
        ledger: of which stream the ledger is used; None reads everything.
        foreign_keys: whether to check the source's foreign keys that touch the tables.
        progress: called about every second, and for each table; may raise to stop.
        parallel: queries at a time, over both sides.
        examples: so many keys of differing rows are named for each table; counts are exact.
        recheck_seconds: for so long, while not both sides are fenced, differing rows are looked
            at again.
        rule_timeout_seconds: a rule that takes longer has failed.
        kept: so many differences of each table are kept in `findings`.
        most_bytes: give up before anything is read where more would have to be; None reads all.
    """

    sessions: Sessions
    catalogues: Catalogues
    rules: Sequence[Rule] = ()
    ledger: LedgerUse | None = None
    foreign_keys: bool = True
    progress: Progress = field(default=lambda _: None)
    parallel: int = 4
    examples: int = EXAMPLES
    recheck_seconds: float = RECHECK_SECONDS
    rule_timeout_seconds: float = RULE_TIMEOUT_SECONDS
    kept: int = KEPT
    most_bytes: int | None = None
    findings: list[Findings] = field(default_factory=list)
    """What was found, by table; complete after `run`."""
    _notes: list[str] = field(default_factory=list)
    _unknown: bool = False

    def run(self) -> VerifyReport:
        """Compare.

        Returns:
            `failed` when rows, columns, tables or rules disagree; `inconclusive` when something
            could not be looked at or never stood still; else `succeeded`. A key is written as
            `missing id=1`, with what is wrong with its row on the source.

        Raises:
            UnreachableError, CredentialsError, MissingRightError: as a server has it.
        """
        with self.sessions.lock:
            return self._run()

    def _run(self) -> VerifyReport:
        started, clock = datetime.now(UTC), time.monotonic()
        fenced_before = self._fenced()
        seen = self._look(fenced=fenced_before)
        exact = fenced_before and self._fenced()
        ended = datetime.now(UTC)
        unsettled = 0
        if not exact:
            if seen.ledgered is not None:
                held = [k for k, c in seen.checks if not c.violations and k.name not in seen.spared]
                seen.ledgered.record(self.sessions, self.findings, held)
            if any(found.total for found in self.findings):
                unsettled = settle(
                    self.sessions, self.findings, self.recheck_seconds, self.progress, self._notes
                )
        digests = tuple(_table_digest(found, self.examples) for found in self.findings)
        failed = seen.prepared.differ or any(
            not digest.equal or found.total
            for digest, found in zip(digests, self.findings, strict=True)
        )
        checks = tuple(result for _, result in seen.checks)
        failed = failed or any(check.violations for check in (*checks, *seen.rules))
        outcome = Outcome.SUCCEEDED
        if failed or unsettled or self._unknown or seen.prepared.problems:
            outcome = Outcome.FAILED if failed else Outcome.INCONCLUSIVE
        used = seen.ledgered
        if used is not None and used.doubt and not used.use.cold:
            self._notes.append(f"Everything was looked at: {used.doubt}")
        return VerifyReport(
            outcome=outcome,
            exact=exact,
            started_at=started,
            ended_at=ended,
            seconds=time.monotonic() - clock,
            tables=digests,
            rules=seen.rules,
            foreign_keys=checks,
            problems=seen.prepared.problems,
            detail=" ".join(self._notes),
            position=lsn_text(used.held.lsn) if used else "",
            chunks_verified=used.looked_at if used else len(digests),
            chunks_by_ledger=used.by_ledger if used else 0,
            ledger_oldest_at=used.oldest if used and used.by_ledger else None,
        )

    def _fenced(self) -> bool:
        """Whether both sides refuse writes now."""
        return all(fence.is_up(self.sessions.leader(side)) is True for side in Side)

    def _look(self, *, fenced: bool) -> "_Seen":
        """Everything that is read inside the two snapshots."""
        first = self.ledger.direction.receiver if self.ledger else Side.TARGET
        with (
            Snapshot(self.sessions, first) as one,
            Snapshot(self.sessions, first.other) as other,
            ThreadPoolExecutor(max_workers=max(2, self.parallel) + 2) as executor,
        ):
            snapshots = {first: one, first.other: other}
            try:
                return self._compare(snapshots, one, executor, fenced=fenced)
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                for snapshot in snapshots.values():
                    snapshot.stop()
                raise

    def _compare(
        self,
        snapshots: Mapping[Side, Snapshot],
        receiver: Snapshot,
        executor: ThreadPoolExecutor,
        *,
        fenced: bool,
    ) -> "_Seen":
        prepared = self.catalogues.prepare(snapshots)
        used = looking = None
        if self.ledger is not None:
            used = Ledgered.open(self.ledger, receiver, prepared)
        if used is None:
            jobs = [Job(each, prepared.sizes[n]) for n, each in prepared.comparisons.items()]
        else:
            jobs = used.jobs()
            looking = used.look(executor, self.sessions)
        size = sum(job.bytes for job in jobs)
        if self.most_bytes is not None and size > self.most_bytes:
            raise TooMuchError
        if size > _SMALL_BYTES:
            for snapshot in snapshots.values():
                snapshot.widen(max(1, self.parallel // 2))
        comparer = Comparer(snapshots, executor)
        self.findings = comparer.start(jobs, self.kept)
        if used is not None and looking is not None:
            used.learn(looking, receiver, comparer, self.findings, self._waited)
        source = snapshots[Side.SOURCE]
        keys = prepared.foreign_keys if self.foreign_keys else ()
        within: dict[str, sql.Composable | None] = {}
        if used is not None:
            with receiver.session() as session:
                changed = used.changed(session)
            within = {key.name: used.unchecked(key, changed) for key in keys}
        held = {name for name, rows in within.items() if rows is NONE}
        # Behind the tables: a slow rule would keep a session that they wait for.
        limit = _GAP_SECONDS if fenced and used is not None else TIMEOUT_SECONDS
        checks = [
            (key, executor.submit(_foreign_key, source, key, limit, within.get(key.name)))
            for key in keys
            if key.name not in held
        ]
        rules = [
            executor.submit(_rule, source, rule, self.rule_timeout_seconds) for rule in self.rules
        ]
        comparer.finish(self._finished, self._tick)
        if used is not None:
            used.add_spared(self.findings)
        checked = {key.name: self._waited(future) for key, future in checks}
        results = [(key, self._known(key, checked.get(key.name))) for key in keys]
        return _Seen(
            prepared, used, tuple(results), tuple(map(self._waited, rules)), frozenset(held)
        )

    def _known(self, key: ForeignKey, result: RuleResult | None) -> RuleResult:
        """A foreign key's answer; what did not end in time is not known, and no violation."""
        if result is None:
            detail = "It held before, and neither table was changed since."
            return RuleResult(name=key.name, violations=0, detail=detail)
        if result.detail.startswith(UNFINISHED):
            self._unknown = True
            return result.model_copy(update={"violations": 0})
        return result

    def _waited(self, future: Future[_T]) -> _T:
        while True:
            try:
                return future.result(timeout=1.0)
            except TimeoutError:
                if future.done():
                    raise
                self.progress("Checking foreign keys and business rules.")

    def _finished(self, found: Findings) -> None:
        rows = found.digests[Side.TARGET].rows
        self.progress(f"Compared {found.comparison.table.qualified}: {rows} rows.")

    def _tick(self) -> None:
        self.progress("Comparing both sides.")


@dataclass(frozen=True)
class _Seen:
    """What was read inside the two snapshots, beside the rows."""

    prepared: Prepared
    ledgered: Ledgered | None
    checks: tuple[tuple[ForeignKey, RuleResult], ...]
    rules: tuple[RuleResult, ...]
    spared: frozenset[str]
    """Foreign keys that were known to hold."""


def _table_digest(found: Findings, examples: int) -> TableDigest:
    table = found.comparison.table
    named = (
        f"{difference.kind} "
        + ", ".join(f"{n}={v}" for n, v in zip(table.key or ["row"], difference.key, strict=True))
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


def _foreign_key(
    source: Snapshot, key: ForeignKey, timeout_seconds: float, within: sql.Composable | None
) -> RuleResult:
    with source.session() as session:
        return check_foreign_key(session, key, timeout_seconds, within)


def _silent(_: str) -> None:
    """Nobody listens."""
