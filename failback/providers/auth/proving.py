"""Whether one session of the target goes on as it should on the source.

What a server does with a refresh token that was swapped already depends on when: GoTrue answers
with the token that took its place while that one is unused, lets any be shown within the reuse
interval, and afterwards refuses and ends the session. So two swaps and a pause are needed to see
the refusal, and a session is good for one proof.
"""

import asyncio
import time
from enum import StrEnum
from typing import NamedTuple

from failback.providers.auth.sealing import SealedSession, SealedTokens
from failback.providers.auth.side import Answer, AuthSide

_MARGIN_SECONDS = 0.25
"""Two servers' clocks are not asked: the interval is counted by the source's own."""
_SERVER_ERROR = 500


class Proof(StrEnum):
    """What a session showed."""

    HOLDS = "holds"
    BROKEN = "broken"
    SPENT = "spent"
    """It was used up before, by an attempt of ours that did not tell its end."""
    UNKNOWN = "unknown"


class Shown(NamedTuple):
    """A proof and its words."""

    proof: Proof
    detail: str


async def refreshes_once(source: AuthSide, session: SealedSession, interval: float) -> Shown:
    """Swap a session's refresh token, and see that it is not good for a second session.

    Takes a little more than the reuse interval.
    """
    first = await source.refresh(session.refresh)
    if not first.fine:
        return _first_refused(first)
    second = first.text("refresh_token")
    if not second or second == session.refresh:
        return Shown(Proof.BROKEN, "the source did not rotate the refresh token")
    user = await source.user(first.text("access_token"))
    if not user.fine:
        return Shown(
            Proof.BROKEN,
            f"the source refuses the access token that it has just issued ({user.said})",
        )
    swapped = await source.refresh(second)
    if not swapped.fine:
        return Shown(
            Proof.BROKEN, f"the source refuses the next refresh token of its own ({swapped.said})"
        )
    await asyncio.sleep(interval + _MARGIN_SECONDS)
    return _judged(await source.refresh(session.refresh), "the refresh token works a second time")


async def stays_rotated(
    source: AuthSide, tokens: SealedTokens, opened: float, interval: float
) -> Shown:
    """See that what was rotated on the target before the rollback is no good on the source.

    Args:
        source: the source's auth.
        tokens: of the probe.
        opened: when the target rotated it, in seconds since 1970, by this machine's clock.
        interval: the reuse interval.
    """
    await asyncio.sleep(max(0.0, opened + interval + _MARGIN_SECONDS - time.time()))
    return _judged(
        await source.refresh(tokens.rotated),
        "a refresh token that the target had rotated works again",
    )


def _first_refused(answer: Answer) -> Shown:
    if answer.used_before:
        return Shown(Proof.SPENT, "used before")
    if answer.status >= _SERVER_ERROR:
        return Shown(Proof.UNKNOWN, f"the source could not refresh ({answer.said})")
    return Shown(
        Proof.BROKEN, f"the source refuses the refresh token that the target issued ({answer.said})"
    )


def _judged(answer: Answer, otherwise: str) -> Shown:
    """A refusal is what is wanted; a server's error is none."""
    if answer.fine:
        return Shown(Proof.BROKEN, f"{otherwise} on the source")
    if answer.status >= _SERVER_ERROR:
        return Shown(Proof.UNKNOWN, f"the source could not be asked ({answer.said})")
    return Shown(Proof.HOLDS, "")
