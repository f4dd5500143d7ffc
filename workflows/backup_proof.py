"""One scheduled look at an estate's backups: perhaps take one, prove the newest, prune old ones."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.backups import BackupActivities
    from failback.models.backups import (
        BackupProofReport,
        BackupProofRequest,
        ProofRound,
        PruneBackupsRequest,
        PruneReport,
        TakeBackupRequest,
        TakenBackup,
    )
    from failback.models.messages import Message, MessageKind
from workflows import options
from workflows.telling import tell
from workflows.timeline import explained

_MOST_ROUNDS = 5
"""Backups that are proved in one run, while the newer ones do not hold."""
_PRUNE_SECONDS = 3600.0


@workflow.defn(name="BackupProof")
class BackupProof:
    """Takes a backup where it is asked to, and proves the newest until one holds.

    Each step goes on when another has failed: a backup that could not be taken is no reason to
    leave an older one unproven. What went wrong is told to people by a `Notification`, and then
    fails the run, so that it is red in Temporal as well; the schedule goes on.
    """

    @workflow.init
    def __init__(self, request: BackupProofRequest) -> None:
        self._request = request
        self._taken: TakenBackup | None = None
        self._rounds: list[ProofRound] = []
        self._pruned: PruneReport | None = None
        self._problems: list[str] = []

    @workflow.run
    async def run(self, request: BackupProofRequest) -> BackupProofReport:
        """Take, prove, prune, and tell of what went wrong."""
        if request.take:
            await self._take()
        await self._prove()
        if request.keep:
            await self._prune()
        if self._problems:
            await self._tell()
            raise ApplicationError(
                " ".join(self._problems), self.report(), type="BackupProof", non_retryable=True
            )
        return self.report()

    @workflow.query
    def report(self) -> BackupProofReport:
        """What was done so far."""
        return BackupProofReport(
            taken=self._taken,
            rounds=tuple(self._rounds),
            pruned=self._pruned,
            problems=tuple(self._problems),
        )

    async def _take(self) -> None:
        try:
            self._taken = await workflow.execute_activity_method(
                BackupActivities.take_backup,
                TakeBackupRequest(not_before=workflow.info().start_time),
                **options.long(self._request.budget_seconds),
            )
        except ActivityError as error:
            self._failed("No backup was taken", error)
        else:
            self._problems.extend(f"The backup lacks a part. {one}" for one in self._taken.lacking)
        self._show()

    async def _prove(self) -> None:
        """Prove the newest; where it does not hold the one before, so that a recovery has one."""
        for _ in range(_MOST_ROUNDS):
            try:
                found = await workflow.execute_activity_method(
                    BackupActivities.prove_next_backup,
                    **options.long(self._request.budget_seconds),
                )
            except ActivityError as error:
                self._failed("The newest backup could not be proved", error)
                return
            self._rounds.append(found)
            self._show()
            if found.proven or not found.backup:
                break
            self._problems.append(f"The backup {found.backup} does not hold: {found.problem}")
        if not self._rounds[-1].newest_proven:
            self._problems.append("No backup is proven: a recovery would have none to take.")

    async def _prune(self) -> None:
        try:
            self._pruned = await workflow.execute_activity_method(
                BackupActivities.prune_backups,
                PruneBackupsRequest(keep=self._request.keep, keep_proven=self._request.keep_proven),
                **options.long(_PRUNE_SECONDS),
            )
        except ActivityError as error:
            self._failed("Old backups were not pruned", error)
        self._show()

    def _failed(self, what: str, error: ActivityError) -> None:
        if is_cancelled_exception(error):
            raise error
        self._problems.append(f"{what}: {explained(error)[0]}")

    async def _tell(self) -> None:
        last = self._rounds[-1] if self._rounds else ProofRound()
        taken_at = last.newest_proven_taken_at
        age = "none is proven"
        if taken_at is not None:
            hours = (workflow.now() - taken_at) / timedelta(hours=1)
            age = f"{last.newest_proven}, {hours:.1f} hours old"
        await tell(
            Message(
                kind=MessageKind.BACKUP_FAILED,
                key=f"{workflow.info().workflow_id}/{workflow.info().run_id}",
                estate=self._request.estate,
                subject=f"{self._request.estate}: {self._problems[0]}"[:200],
                text="\n".join(self._problems),
                severity="warning" if last.newest_proven else "critical",
                occurred_at=workflow.now(),
                facts={"a recovery would take": age, "look": "failback backup list"},
            )
        )

    def _show(self) -> None:
        """Tell the story so far in Temporal's own UI."""
        lines = [f"**Backups of {self._request.estate}**"]
        if self._taken is not None:
            lines.append(f"- taken: {self._taken.id}, {self._taken.rows} rows")
        for found in self._rounds:
            if found.backup:
                said = "proven" if found.proven else found.problem
                lines.append(f"- {found.backup}: {said}")
        if self._pruned is not None:
            lines.append(f"- pruned: {len(self._pruned.deleted)}")
        lines.extend(f"- problem: {problem}" for problem in self._problems)
        workflow.set_current_details("\n".join(lines))
