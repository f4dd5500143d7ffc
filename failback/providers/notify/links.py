"""Links that messages get where they are delivered: pages, and a person's own approval link.

A signed link decides in somebody's name. It is made for a channel that one person reads, at the
moment of delivery, and is part of no payload, history or record.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from failback.approvals.links import LinkSigner, address
from failback.models.messages import Message, MessageKind
from failback.sections.people import ApprovalsConfig, LevelApprovalsConfig


class MessageLinks:
    """Makes links for one estate.

    Args:
        approvals: who may approve what, and the key that links are signed with.
        public_url: the gateway as browsers reach it; without it there are no links.
        now: the clock.
    """

    def __init__(
        self,
        approvals: ApprovalsConfig,
        public_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._approvals = approvals
        self._public_url = public_url.rstrip("/")
        self._now = now
        key = approvals.link_key
        self._signer = (
            LinkSigner(key.get_secret_value(), approvals.link_seconds) if key is not None else None
        )

    def __call__(self, message: Message, person: str) -> Mapping[str, str]:
        """The links of a message on a channel, by their text.

        Args:
            message: what is told.
            person: whose channel it is; empty for one that several people read.
        """
        if not self._public_url or message.kind is not MessageKind.APPROVAL_NEEDED:
            return {}
        links = {
            "The rollback in the API": f"{self._public_url}/api/rollbacks/{message.rollback_id}"
        }
        if self._signer is None or not person or not message.plan_hash:
            return links
        role = self._role(person, message.level)
        if role is None:
            return links
        token = self._signer.token(
            estate=message.estate,
            rollback_id=message.rollback_id,
            plan_hash=message.plan_hash,
            who=person,
            role=role,
            now=self._now(),
        )
        return {f"Decide as {person}": address(self._public_url, token), **links}

    def _role(self, person: str, level: int) -> str | None:
        """The first of a person's roles that may approve a level; None where none may."""
        held = self._approvals.people.get(person, ())
        policy = self._approvals.levels.get(level, LevelApprovalsConfig())
        wanted = policy.roles or tuple(policy.quorum_by_role)
        if not wanted:
            return next(iter(held), "")
        return next((role for role in held if role in wanted), None)
