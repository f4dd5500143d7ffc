"""The gate: who said what, what of it counts, and when a level may act."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.rollback import ApprovalPolicy, Decision, RecordedDecision


class Approvals:
    """Decisions about one rollback.

    Args:
        policy: quorum, roles and people of the level.
        requested_by: who asked for the rollback, and so cannot approve it.
    """

    def __init__(self, policy: ApprovalPolicy, requested_by: str) -> None:
        self._policy = policy
        self._requested_by = requested_by
        self._decisions: list[RecordedDecision] = []

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
        """Whether the quorum is reached."""
        return self.given >= self._policy.quorum

    @property
    def rejection(self) -> RecordedDecision | None:
        """The first rejection that counts."""
        return next(iter(self._counted("reject")), None)

    @property
    def accepted_tail(self) -> RecordedDecision | None:
        """Who accepted the rest of the tail."""
        return next(iter(self._counted("accept_tail")), None)

    def _counted(self, verb: str) -> list[RecordedDecision]:
        return [entry for entry in self._decisions if entry.counted and entry.verb == verb]

    def objection(self, verb: str, decision: Decision) -> str:
        """Why a decision would not count, with what to do; empty where it counts."""
        if not decision.who:
            return "A decision needs a name in `who`."
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
        if verb == "approve" and self._policy.roles and decision.role not in self._policy.roles:
            return (
                f"The role {decision.role!r} does not approve this level. "
                f"Roles that do: {', '.join(self._policy.roles)}."
            )
        if verb == "approve" and decision.who == self._requested_by:
            return f"{decision.who} asked for this rollback, and cannot approve it alone."
        return ""

    def record(self, verb: str, decision: Decision, at: datetime) -> RecordedDecision:
        """Keep a decision, whether or not it counts."""
        objection = self.objection(verb, decision)
        entry = RecordedDecision(
            verb=verb,
            who=decision.who,
            role=decision.role,
            comment=decision.comment[:1000],
            at=at,
            counted=not objection,
            why_not=objection,
        )
        self._decisions.append(entry)
        return entry
