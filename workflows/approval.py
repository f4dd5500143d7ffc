"""The gate: who said what, what of it counts, and when a level may act."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.rollback import ApprovalPolicy, Decision, RecordedDecision

_PREFIX = 12
"""Characters of a plan's hash that a person must give at least."""


class Approvals:
    """Decisions about one rollback.

    Args:
        policy: quorum, roles and people of the level.
        requested_by: who asked for the rollback, and so cannot approve it.
        plan_hash: what approvals are bound to.
        escalation: the same for acting at once as level 1; None where there is no such thing.
    """

    def __init__(
        self,
        policy: ApprovalPolicy,
        requested_by: str,
        plan_hash: str = "",
        escalation: ApprovalPolicy | None = None,
    ) -> None:
        self._policy = policy
        self._escalation = escalation
        self._requested_by = requested_by
        self._decisions: list[RecordedDecision] = []
        self._nonces: list[str] = []
        self.plan_hash = plan_hash

    @property
    def decisions(self) -> tuple[RecordedDecision, ...]:
        """Every decision that arrived, also those that do not count."""
        return tuple(self._decisions)

    @property
    def given(self) -> int:
        """How many different people have approved."""
        return len({entry.who for entry in self._counted("approve")})

    @property
    def granted(self) -> bool:
        """Whether the quorum is reached, as a whole and in each role."""
        return self.given >= self._policy.quorum and not self._short()

    @property
    def missing(self) -> str:
        """Who still has to approve, in words; empty where the quorum is reached."""
        short = [f"{count} as {role}" for role, count in self._short().items()]
        whole = self._policy.quorum - self.given
        if whole > sum(self._short().values()):
            short.insert(0, f"{whole} of {', '.join(self._policy.roles) or 'anybody known'}")
        return "; ".join(short)

    @property
    def rejection(self) -> RecordedDecision | None:
        """The first rejection that counts."""
        return next(iter(self._counted("reject")), None)

    @property
    def accepted_tail(self) -> RecordedDecision | None:
        """Who accepted the rest of the tail."""
        return next(iter(self._counted("accept_tail")), None)

    @property
    def escalated(self) -> RecordedDecision | None:
        """The decision by which enough people want it to act at once."""
        policy = self._escalation
        counted = self._counted("escalate")
        if policy is None or len({entry.who for entry in counted}) < max(policy.quorum, 1):
            return None
        return counted[-1] if counted else None

    def _counted(self, verb: str) -> list[RecordedDecision]:
        return [entry for entry in self._decisions if entry.counted and entry.verb == verb]

    def _short(self) -> dict[str, int]:
        """How many approvals are missing by role."""
        approved = self._counted("approve")
        short = {
            role: count - len({entry.who for entry in approved if entry.role == role})
            for role, count in self._policy.quorum_by_role.items()
        }
        return {role: count for role, count in short.items() if count > 0}

    def objection(self, verb: str, decision: Decision) -> str:
        """Why a decision would not count, with what to do; empty where it counts."""
        if not decision.who:
            return "A decision needs a name in `who`."
        return (
            self._unknown(decision)
            or self._other_role(verb, decision)
            or self._alone(verb, decision)
            or self._again(verb, decision)
            or self._other_plan(verb, decision)
        )

    def _unknown(self, decision: Decision) -> str:
        people = self._policy.people
        if people and decision.who not in people:
            return (
                f"Nobody known is called {decision.who!r}. Known: {', '.join(sorted(people))}. "
                "Add the person to approvals.people, or decide as one of them."
            )
        if people and decision.role not in people[decision.who]:
            return (
                f"{decision.who} does not hold the role {decision.role!r}. "
                f"Roles of {decision.who}: {', '.join(people[decision.who])}."
            )
        return ""

    def _other_role(self, verb: str, decision: Decision) -> str:
        policy = self._policy if verb == "approve" else self._escalation
        if verb not in ("approve", "escalate") or policy is None:
            return ""
        roles = policy.roles and tuple(dict.fromkeys((*policy.roles, *policy.quorum_by_role)))
        if not roles or decision.role in roles:
            return ""
        level = "this level" if verb == "approve" else "level 1"
        return (
            f"The role {decision.role!r} does not approve {level}. "
            f"Roles that do: {', '.join(roles)}."
        )

    def _alone(self, verb: str, decision: Decision) -> str:
        """Four eyes: who asked is no second pair of them."""
        asked = decision.who == self._requested_by
        if verb == "approve" and asked:
            return f"{decision.who} asked for this rollback, and cannot approve it alone."
        if verb == "escalate" and asked and self._escalation and self._escalation.quorum:
            return f"{decision.who} asked for this rollback, and cannot escalate it alone."
        return ""

    def _again(self, verb: str, decision: Decision) -> str:
        if decision.nonce and decision.nonce in self._nonces:
            return "This link was used already: it decides once."
        before = [entry for entry in self._counted(verb) if entry.who == decision.who]
        if verb in ("approve", "escalate") and before:
            done = "approved" if verb == "approve" else "escalated"
            return f"{decision.who} has {done} already, and counts once."
        return ""

    def _other_plan(self, verb: str, decision: Decision) -> str:
        if verb != "approve" or not self.plan_hash:
            return ""
        given = decision.plan_hash.strip().lower()
        if not given:
            if not self._policy.require_plan_hash:
                return ""
            return (
                f"An approval must name the plan that it is for. This one is {self.plan_hash}: "
                "look at it, then approve again with its hash in plan_hash."
            )
        if len(given) >= _PREFIX and self.plan_hash.startswith(given):
            return ""
        return (
            f"The approval is for plan {given[:_PREFIX]}, and the plan that waits is "
            f"{self.plan_hash}. Look at what has changed, then approve that one."
        )

    def record(
        self, verb: str, decision: Decision, at: datetime, objection: str
    ) -> RecordedDecision:
        """Keep a decision, whether or not it counts.

        Args:
            verb: what was decided.
            decision: by whom, and for which plan.
            at: now.
            objection: why it does not count; empty where it does.
        """
        entry = RecordedDecision(
            verb=verb,
            who=decision.who[:200],
            role=decision.role[:200],
            comment=decision.comment[:1000],
            at=at,
            counted=not objection,
            why_not=objection[:2000],
            plan_hash=self.plan_hash,
            via=decision.via[:100],
        )
        self._decisions.append(entry)
        if decision.nonce:
            self._nonces.append(decision.nonce)
        return entry

    def replan(self, plan_hash: str, policy: ApprovalPolicy, why: str) -> int:
        """Bind to another plan: approvals that were given are void.

        Returns:
            How many there were.
        """
        voided = len(self._counted("approve"))
        self._decisions = [
            entry.model_copy(update={"counted": False, "why_not": f"void: {why}"[:2000]})
            if entry.counted and entry.verb == "approve"
            else entry
            for entry in self._decisions
        ]
        self.plan_hash = plan_hash
        self._policy = policy
        return voided
