"""Level 4: people are led through a recovery from what was proved to be restorable."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Outcome
    from failback.models.recovery import (
        GateAnswer,
        GateVerb,
        RecoveryGate,
        RecoveryResult,
    )
    from failback.models.rollback import Phase, RollbackRequest, RollbackResult
from workflows.recovery_gates import Gates
from workflows.recovery_steps import RecoveryWorkflow
from workflows.runbook import runbook
from workflows.timeline import StepFailedError


class Stage(NamedTuple):
    """One of the guided procedure's steps, with what people are told before it."""

    name: str
    plan: str
    run: Callable[[], Awaitable[None]]
    seconds: Callable[[], float | None]
    """How long it is expected to take."""


class AbortedError(Exception):
    """An operator ended the procedure."""


@workflow.defn(name="DisasterRecovery")
class DisasterRecovery(RecoveryWorkflow):
    """Assess, activate, restore, rebuild, validate, return: a gate before each but the first.

    At a gate an operator sees what will be done, why, on which evidence and at what cost, and lets
    it go on, repeats the step before, skips the next one with a reason, or aborts. Nothing that is
    damaged is overwritten, so that every step may be repeated.
    """

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self.prepare(request)
        self.prepare_recovery()
        self.gates = Gates(request.plan.recovery, request.plan.approval.people)

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Lead people through the recovery, once it has been approved."""
        return await self.carried_out()

    # Messages.

    @workflow.signal(name="answer_gate")
    def _gate_signalled(self, answer: GateAnswer) -> None:
        """An operator's answer, by the raw signal; one that does not count is only recorded."""
        objection = self.gates.objection(answer)
        self.journal.gate_answered(answer, objection)
        if not objection:
            self.gates.answer(answer, workflow.now())

    @workflow.update(name="decide_gate")
    def _gate_decided(self, answer: GateAnswer) -> RecoveryGate:
        """An operator's answer, by our own command line: it says what it passed."""
        self.journal.gate_answered(answer, "")
        return self.gates.answer(answer, workflow.now())

    @_gate_decided.validator
    def _gate_may_be_decided(self, answer: GateAnswer) -> None:
        objection = self.gates.objection(answer)
        if objection:
            raise ApplicationError(objection, type="GateRefusedError", non_retryable=True)

    @workflow.query(name="recovery")
    def _recovery(self) -> RecoveryResult:
        """What was found, restored and returned so far, with every gate."""
        return self.recovered(self.gates.all)

    # The procedure.

    async def plan(self) -> RollbackResult:
        """See `RollbackWorkflow.plan`."""
        if not await self.began():
            return await self.closed(success=False)
        async with self.measuring_availability():
            try:
                await self._procedure()
            except AbortedError as aborted:
                await self._hand_over(str(aborted))
            self.service_restored()
        self.recovery = self.recovered(self.gates.all)
        if self.error is not None:
            self.recovery = self.recovery.model_copy(
                update={
                    "manual_intervention_required": True,
                    "runbook": runbook(self.request, self.recovery, self.timeline.steps),
                }
            )
        return await self.closed(success=self.error is None)

    async def _procedure(self) -> None:
        """Every stage in turn, each after its gate; one that failed is asked about again."""
        before = Stage("assess", "Look at every part.", self.assess, lambda: None)
        failed = await self._attempted(before)
        stages = self._stages()
        while stages or failed:
            following = stages[0] if stages else None
            answer = await self._answer(following, before, failed)
            if answer.verb is GateVerb.REPEAT:
                failed = await self._attempted(before)
            elif answer.verb is GateVerb.SKIP and failed:
                self.left_out(before.name, f"{failed}; left by {answer.who}: {answer.reason}")
                failed = ""
            elif following is not None:
                stages.pop(0)
                if answer.verb is GateVerb.SKIP:
                    self.left_out(following.name, f"skipped by {answer.who}: {answer.reason}")
                else:
                    before, failed = following, await self._attempted(following)

    def _stages(self) -> list[Stage]:
        return [
            Stage(
                "activate",
                "Make sure that the standby answers, takes writes, and has roles and room.",
                self.activate,
                lambda: 5.0,
            ),
            Stage(
                "restore",
                "Restore what is damaged beside it from the chosen backup, replay the archived "
                "changes, fence the target, and replay its last ones.",
                self.restore,
                lambda: self.assessment.restore_seconds if self.assessment else None,
            ),
            Stage(
                "rebuild",
                "Point pools, DSNs, addresses, secrets and names at what serves from now "
                "on. From here on there is no way back to the target without a new plan.",
                self.rebuild,
                lambda: 15.0,
            ),
            Stage(
                "validate",
                "Check what was restored: structure, references, business rules, objects.",
                self.validate_restored,
                lambda: 30.0,
            ),
            Stage(
                "return_services",
                "Return services one by one, each once the one before has been stable.",
                self.return_services,
                self.return_seconds,
            ),
        ]

    async def _attempted(self, stage: Stage) -> str:
        """Run a stage; why it failed, empty where it did not."""
        try:
            await stage.run()
        except StepFailedError as failure:
            return str(failure)
        return ""

    async def _answer(self, following: Stage | None, before: Stage, failed: str) -> GateAnswer:
        """Open a gate, and wait until it is answered."""
        name = following.name if following else "end"
        gate = RecoveryGate(
            gate=f"{len(self.gates.all) + 1}-{name}",
            step=name,
            plan=following.plan if following else "End the recovery.",
            evidence=self.evidence(),
            loss_seconds=self.loss_seconds(),
            seconds=following.seconds() if following else None,
            opened_at=workflow.now(),
            last_outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
            last_detail=failed or self.last_detail(before.name),
        )
        self.gates.ask(gate)
        if not self.gates.answered:
            self.enter(Phase.AT_GATE)
            self.stakeholders.gate_waits(gate)
            await workflow.wait_condition(lambda: self.gates.answered)
            self.enter(Phase.RUNNING)
        answer = self.gates.last
        if answer.verb is GateVerb.ABORT:
            raise AbortedError(
                f"aborted at gate {gate.gate} by {answer.who}: {answer.reason}"
                + (f"; {failed}" if failed else "")
            )
        return answer

    async def _hand_over(self, why: str) -> None:
        """Nobody wants it to go on: what did not move is put back, and people take over."""
        self.error = why
        if not self.undo.committed:
            await self.undo.unwind()
