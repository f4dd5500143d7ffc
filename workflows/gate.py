"""What people and `AlertResponse` say to a rollback, and what becomes of it: the messages' side."""

import functools
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from failback.approvals.plans import plan_hash
    from failback.models.common import Level
    from failback.models.responses import AUTOMATION, Escalation, Replan
    from failback.models.rollback import (
        ApprovalPolicy,
        Decision,
        Phase,
        RecordedDecision,
        RollbackRequest,
    )
from workflows.approval import Approvals
from workflows.journal import Journal
from workflows.stakeholders import Stakeholders
from workflows.undo import UndoStack

VERBS = ("approve", "reject", "accept_tail", "escalate", "cancel")


class GatedWorkflow:
    """A rollback that waits for people before it acts.

    Signals are for `temporal workflow signal`, tctl and the UI; the update `decide` is for our own
    command line and console, so that a person gets an answer.
    """

    request: RollbackRequest
    phase: Phase
    undo: UndoStack
    stakeholders: Stakeholders
    began_at: datetime
    error: str | None

    def prepare_gate(self, request: RollbackRequest) -> None:
        """Make the gate's state, before any message can arrive."""
        self.approvals = Approvals(
            request.plan.approval,
            request.requested_by,
            _hash(request),
            _escalation(request),
        )
        self.journal = Journal(request)
        self.expires_at: datetime | None = None
        self.escalated = ""
        """Who or what wants it to act at once; empty where nobody does."""
        self.raised_to: RollbackRequest | None = None
        """The higher level that takes over at the next safe point; None where none does."""
        self._shut = ""
        self._asked = 0

    # Messages.

    @workflow.signal
    def approve(self, decision: Decision) -> None:
        """A person lets the rollback act."""
        self._decided("approve", decision, self._shut)

    @workflow.signal
    def reject(self, decision: Decision) -> None:
        """A person ends the rollback before it acts."""
        self._decided("reject", decision, self._shut)

    @workflow.signal
    def accept_tail(self, decision: Decision) -> None:
        """A named operator accepts that the rest of the tail stays where it is."""
        self._decided("accept_tail", decision)

    @workflow.signal
    def escalate(self, escalation: Escalation) -> None:
        """Act at once, as level 1: by a person, or by `AlertResponse` for a graver decision."""
        decision = Decision(
            who=escalation.who, role=escalation.role, comment=escalation.comment, via="signal"
        )
        if escalation.who == AUTOMATION and escalation.evidence:
            self._escalated_by_nobody(decision)
        else:
            self._decided("escalate", decision, self._untimely("escalate"))

    @workflow.signal
    def replan(self, replan: Replan) -> None:
        """What is to be approved has changed: approvals that were given are void."""
        if self.phase is not Phase.WAITING_FOR_APPROVAL or self._shut:
            return
        changed: dict[str, object] = {"reason": replan.reason[:1000], "evidence": replan.evidence}
        if replan.plan is not None:
            changed["plan"] = replan.plan
        request = self.request.model_copy(update=changed)
        hashed = _hash(request)
        if hashed == self.approvals.plan_hash:
            return
        self.request = request
        self.stakeholders.replanned(request)
        why = "what it was given for has changed"
        voided = self.approvals.replan(hashed, request.plan.approval, why)
        self._asked += 1
        self.journal.replanned(request, hashed, voided)
        self.show()

    @workflow.update
    def raise_level(self, higher: RollbackRequest, decision: Decision) -> RecordedDecision:
        """Let a higher level take over and keep what is done; that level asks its own people."""
        entry = self._recorded("raise_level", decision, "")
        self.raised_to = higher
        return entry

    @raise_level.validator
    def _may_raise_level(self, higher: RollbackRequest, decision: Decision) -> None:
        objection = self._not_raisable(higher) or self.approvals.objection("raise_level", decision)
        if objection:
            raise ApplicationError(objection, type="ApprovalRefusedError", non_retryable=True)

    def _not_raisable(self, higher: RollbackRequest) -> str:
        """Why a higher level cannot take over; empty where it can."""
        if self.request.level.value >= higher.level.value:
            return f"It is level {self.request.level.value} already: a higher one can take over."
        if self.raised_to is not None:
            return f"Level {self.raised_to.level.value} takes over already."
        if higher.level is Level.DATA_SYNC and self.phase is not Phase.WAITING_FOR_APPROVAL:
            return "Level 1 carries the rows, too: level 2 has nothing to add once it runs."
        if self.phase not in (Phase.WAITING_FOR_APPROVAL, Phase.RUNNING):
            return (
                f"It is too late: the rollback is {self.phase.value}. "
                "Start the higher level once it has ended."
            )
        return ""

    @workflow.update
    def decide(self, verb: str, decision: Decision) -> RecordedDecision:
        """Any of the decisions above, or `cancel`, with an answer."""
        return self._decided(verb, decision)

    @decide.validator
    def _may_decide(self, verb: str, decision: Decision) -> None:
        """Refuse what would not count, with cause and cure, before it enters the history."""
        objection = self._untimely(verb) or self.approvals.objection(verb, decision)
        if objection:
            raise ApplicationError(objection, type="ApprovalRefusedError", non_retryable=True)

    def _untimely(self, verb: str) -> str:
        """Why a decision comes too late or too early; empty where it is in time."""
        waiting = self.phase is Phase.WAITING_FOR_APPROVAL
        if verb in ("approve", "reject") and not waiting:
            return self._shut or f"The rollback waits for no approval: it is {self.phase.value}."
        if verb == "accept_tail" and self.phase is not Phase.DRAINING_TAIL:
            return f"There is no tail to accept: the rollback is {self.phase.value}."
        if verb == "cancel" and self.undo.committed:
            return "Traffic has moved already; the rollback can only go forward."
        if verb == "escalate":
            return self._not_escalatable()
        if verb not in VERBS:
            return f"Unknown decision {verb!r}: {', '.join(VERBS[:-1])} or {VERBS[-1]}."
        return ""

    def _not_escalatable(self) -> str:
        """Why it cannot act at once as level 1."""
        if self.request.level is Level.TRAFFIC:
            return "It is level 1 already: approve it, and it acts."
        if self.escalated:
            return f"It was escalated already, by {self.escalated}."
        if not self.may_escalate():
            return f"It is too late to escalate: the rollback is {self.phase.value}."
        return ""

    def may_escalate(self) -> bool:
        """Whether acting at once would still be another thing than what it does."""
        return self.phase is Phase.WAITING_FOR_APPROVAL

    def _decided(self, verb: str, decision: Decision, untimely: str = "") -> RecordedDecision:
        objection = untimely or self.approvals.objection(verb, decision)
        entry = self._recorded(verb, decision, objection)
        if verb == "escalate" and (last := self.approvals.escalated):
            self.escalated = last.who
        return entry

    def _escalated_by_nobody(self, decision: Decision) -> None:
        """By a decision that needs no approval, where level 1 needs none."""
        policy = _escalation(self.request)
        objection = self._not_escalatable()
        if not objection and policy is not None and policy.asks:
            objection = f"Level 1 needs {policy.quorum} approvals here, so people decide."
        entry = self._recorded("escalate", decision, objection)
        if entry.counted:
            self.escalated = entry.who

    def _recorded(self, verb: str, decision: Decision, objection: str) -> RecordedDecision:
        entry = self.approvals.record(verb, decision, workflow.now(), objection)
        self.journal.decided(entry)
        self.show()
        return entry

    # The gate itself.

    async def approval_granted(self) -> bool:
        """Wait for the quorum, a rejection, an escalation or the expiry; whether it may act."""
        policy = self.request.plan.approval
        if self.request.is_child or self.request.dry_run or not policy.asks:
            return True
        self.enter(Phase.WAITING_FOR_APPROVAL)
        note = ""
        while not self._answered():
            policy = self.request.plan.approval
            expires = timedelta(seconds=policy.expires_seconds)
            self.expires_at = workflow.now() + expires
            self.stakeholders.approval_needed(self.expires_at, self.approvals.plan_hash)
            try:
                await workflow.wait_condition(
                    functools.partial(self._moves_on, self._asked),
                    timeout=expires,
                    timeout_summary="approval expires",
                )
            except TimeoutError:
                note = f"nobody approved within {policy.expires_seconds:g} s"
                break
        if rejection := self.approvals.rejection:
            self.error = f"rejected by {rejection.who}: {rejection.comment or 'no comment'}"
        elif note and policy.on_expiry != "proceed":
            self.error = note
        if note:
            self.journal.expired(note, policy.on_expiry)
        self.began_at = workflow.now()
        self._shut = self._why_shut(note)
        self.enter(Phase.REJECTED if self.error else Phase.RUNNING)
        return not self.error

    def _answered(self) -> bool:
        return (
            self.approvals.granted
            or self.approvals.rejection is not None
            or bool(self.escalated)
            or self.raised_to is not None
        )

    def _moves_on(self, asked: int) -> bool:
        """Whether there is an answer, or another question than the one with this number."""
        return self._answered() or self._asked != asked

    def _why_shut(self, note: str) -> str:
        """Why decisions about the approval come too late from now on."""
        at = f"{workflow.now():%F %T} UTC"
        if note:
            return f"It is too late: the approval expired at {at}."
        if self.approvals.rejection is not None:
            return f"It is too late: the rollback was rejected at {at}."
        if self.escalated:
            return f"It is too late: the rollback was escalated at {at}, and acts."
        if self.raised_to is not None:
            return f"It is too late: level {self.raised_to.level.value} took over at {at}."
        return f"It is too late: the quorum was reached at {at}, and the rollback acts."

    def enter(self, phase: Phase) -> None:
        """Go over to another phase."""
        raise NotImplementedError

    def show(self) -> None:
        """Tell the story so far in Temporal's own UI."""
        raise NotImplementedError


def _escalation(request: RollbackRequest) -> ApprovalPolicy | None:
    """Who may have it act as level 1; requests of 0.1.0 do not say, and let known people do so."""
    if request.level is Level.TRAFFIC:
        return None
    return request.plan.escalation or ApprovalPolicy(people=request.plan.approval.people)


def _hash(request: RollbackRequest) -> str:
    return plan_hash(request.plan, request.level, request.reason, request.evidence)
