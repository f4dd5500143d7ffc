"""How refresh tokens rotate: GoTrue's rules, as its version 2 has them.

A token is good for one swap. One that was swapped already is answered with the token that took its
place while that one is unused (the answer was lost), with one of its own within the reuse interval
(two tabs asked at once), and after that with a refusal that ends the session.
https://supabase.com/docs/guides/auth/sessions
"""

from typing import Any, NamedTuple

from failback.lab.product.database import Connection, Database
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query
from failback.lab.product.tokens import Tokens
from failback.lab.product.users import with_user


class Refreshed(NamedTuple):
    """What a session goes on with."""

    user: dict[str, Any]
    session_id: str
    token: str


class Refreshing:
    """Swaps refresh tokens.

    Args:
        database: the product's.
        tokens: makes new ones.
        reuse_seconds: how long after its swap a token may be shown again.
    """

    def __init__(self, database: Database, tokens: Tokens, reuse_seconds: float) -> None:
        self._database = database
        self._tokens = tokens
        self._reuse_seconds = reuse_seconds

    async def refresh(self, shown: str) -> Refreshed:
        """The next refresh token of the session whose token was shown.

        Raises:
            ProblemError: 400, the token is unknown or used, or its session or user is over.
        """
        # Committed also where the token is refused: then the session is over.
        async with self._database.connection() as connection, connection.transaction():
            answer = await self._swapped(connection, shown)
        if isinstance(answer, ProblemError):
            raise answer
        return answer

    async def _swapped(self, connection: Connection, shown: str) -> Refreshed | ProblemError:
        locked = await (
            await connection.execute(query("lock_session"), {"shown": shown})
        ).fetchone()
        found = None
        if locked is not None:
            # A statement of its own, so that it sees what it waited for.
            cursor = await connection.execute(
                with_user("shown_token"), {"shown": shown, "reuse_seconds": self._reuse_seconds}
            )
            found = await cursor.fetchone()
        if locked is None or found is None:
            return _refused("refresh_token_not_found", "Refresh Token Not Found")
        revoked, late, active, parent, expired, banned, user = found
        if banned:
            return _refused("user_banned", "User Banned")
        if expired:
            return _refused("session_expired", "Session Expired")
        session = {"session_id": locked[0]}
        if revoked and active is not None and parent == shown:
            token = active
        elif revoked and late:
            await connection.execute(query("revoke_family"), session)
            return _refused("refresh_token_already_used", "Already Used")
        else:
            token = self._tokens.refresh_token()
            await connection.execute(query("swap_token"), {"shown": shown, "token": token})
        await connection.execute(query("refreshed"), session)
        return Refreshed(user, locked[0], token)


def _refused(code: str, why: str) -> ProblemError:
    return ProblemError(400, code, f"Invalid Refresh Token: {why}")
