"""What is behind a signed link: the rollback as its holder sees it, and the decision."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from failback.approvals.links import LinkClaims, LinkSigner
from failback.errors import ApprovalRefusedError
from failback.gateway.links import LinkView
from failback.models.rollback import Decision, Phase, RecordedDecision, RollbackStatus


class Desk(Protocol):
    """The rollbacks of an estate, as far as links are about them."""

    async def status(self, rollback_id: str | None) -> RollbackStatus:
        """Where a rollback stands."""
        ...

    async def decide(self, rollback_id: str, verb: str, decision: Decision) -> RecordedDecision:
        """Decide, with an answer."""
        ...


class SignedLinks:
    """Implements `ApprovalLinks`. Looking changes nothing; deciding works once.

    Args:
        estate: a link of another estate is refused.
        signer: checks tokens.
        desk: gives the estate's rollbacks; raises UnreachableError.
    """

    def __init__(
        self, estate: str, signer: LinkSigner, desk: Callable[[], Awaitable[Desk]]
    ) -> None:
        self._estate = estate
        self._signer = signer
        self._desk = desk

    async def look(self, token: str) -> LinkView:
        """See `ApprovalLinks.look`.

        Raises:
            ApprovalRefusedError: the link is no good, or the rollback waits for no approval, or
                for one of another plan.
        """
        claims = self._claims(token)
        status = await (await self._desk()).status(claims.rollback_id)
        if status.phase is not Phase.WAITING_FOR_APPROVAL:
            raise ApprovalRefusedError(
                f"Rollback {claims.rollback_id} waits for no approval any more: it is "
                f"{status.phase.value.replace('_', ' ')}."
            )
        if status.plan_hash != claims.plan_hash:
            raise ApprovalRefusedError(
                "The plan has changed since the link was sent.", "Follow the newest link."
            )
        return LinkView(
            estate=status.estate,
            rollback_id=status.rollback_id,
            level=status.level.value,
            reason=status.reason,
            requested_by=status.requested_by,
            approvals_given=status.approvals_given,
            approvals_needed=status.approvals_needed,
            plan_hash=claims.plan_hash,
            who=claims.who,
            role=claims.role,
            verbs=claims.verbs,
            expires_at=claims.expires_at,
        )

    async def decide(self, token: str, verb: str, comment: str) -> RecordedDecision:
        """See `ApprovalLinks.decide`.

        Raises:
            ApprovalRefusedError: the link is no good, was used, or the decision does not count.
        """
        claims = self._claims(token)
        if verb not in claims.verbs:
            raise ApprovalRefusedError(
                f"The link is for {' or '.join(claims.verbs)}, not for {verb!r}."
            )
        desk = await self._desk()
        return await desk.decide(claims.rollback_id, verb, claims.decision(comment))

    def _claims(self, token: str) -> LinkClaims:
        claims = self._signer.claims(token, datetime.now(UTC))
        if claims.estate != self._estate:
            raise ApprovalRefusedError("The link is for another estate.")
        return claims
