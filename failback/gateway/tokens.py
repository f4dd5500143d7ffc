"""Who uses the operator API, and what each role may do there."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from starlette.datastructures import Headers

from failback.gateway.refusals import RefusedError, unauthorised
from failback.gateway.signatures import bearer_of, matches_any
from failback.sections.gateway import ApiTokenConfig


class Role(StrEnum):
    """What a token's holder is trusted with. Everybody may look."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    """Starts, raises and cancels rollbacks, and reports events."""
    APPROVER = "approver"
    """Approves, rejects, raises, cancels, accepts what is left of a tail, and answers gates."""


@dataclass(frozen=True)
class Holder:
    """Somebody whose token is known."""

    name: str
    role: Role


class ApiTokens:
    """The tokens of the configuration, kept as hashes.

    Args:
        configured: names, roles, and tokens or their hashes.
    """

    def __init__(self, configured: Sequence[ApiTokenConfig]) -> None:
        self._holders = [
            (
                one.sha256 or hash_of(one.token.get_secret_value() if one.token else ""),
                Holder(one.name, Role(one.role)),
            )
            for one in configured
        ]

    def holder(self, headers: Headers) -> Holder:
        """Who asks.

        Raises:
            RefusedError: 401.
        """
        shown = bearer_of(headers)
        digest = hash_of(shown)
        found: Holder | None = None
        for known, holder in self._holders:
            # Every one is looked at, so that the time does not tell which one was near.
            if matches_any([digest], [known]):
                found = holder
        if not shown or found is None:
            raise unauthorised(
                "No API token is shown." if not shown else "The API token is not known.",
                "Send Authorization: Bearer with a token of gateway.tokens.",
            )
        return found


def demand_role(holder: Holder, roles: frozenset[Role]) -> None:
    """Refuse who is not trusted with this.

    Raises:
        RefusedError: 403.
    """
    if holder.role not in roles:
        wanted = " or ".join(sorted(roles))
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"{holder.name} is {holder.role.value}, and this takes {wanted}.",
            "Ask somebody with that role, or change gateway.tokens.",
        )


def hash_of(token: str) -> str:
    """The SHA-256 of a token, as the configuration holds it.

    A token is random and long, so that one round is enough: there is no dictionary of them.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
