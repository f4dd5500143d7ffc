"""Sessions that go on over a rollback: asked of both sides' auth, proved with a user of our own."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from failback.errors import AuthRefusedError, CredentialsError, FailbackError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport, SessionProbe
from failback.providers.auth import proving, tokens
from failback.providers.auth.directory import Directory, UserDifferences
from failback.providers.auth.importing import KeyImport
from failback.providers.auth.proving import Proof
from failback.providers.auth.sealing import SealedSession, SealedTokens, Secrets
from failback.providers.auth.side import Answer, AuthSide
from failback.providers.auth.tokens import Trust

SESSIONS = 3
"""How many proofs a probe is good for: each attempt that a crash cuts short uses one up."""
_LOOK_AGAIN_SECONDS = 2.0
_NAMED = 20
_REFUSED_KEYS = (401, 403)
_GONE, _CANNOT, _NO_ANSWER = 404, 500, 0
_READ_ONLY = "read_only"
_UNTRUSTED_CURE = (
    "give both sides the same JWT secret, or import the target's signing key: auth.signing_key"
    " (docs/sessions.md)"
)


@dataclass(frozen=True)
class BridgeSettings:
    """What the bridge is told by the configuration.

    Args:
        secrets: derives what our users need.
        jwt_secret: what signs access tokens on both sides, where that is known.
        reuse_interval_seconds: how long a rotated refresh token may be shown again.
        look_again_seconds: after so long users that differ are compared once more, since the
            reverse sync may just have been on its way.
    """

    secrets: Secrets
    jwt_secret: str | None = None
    reuse_interval_seconds: float = 10.0
    look_again_seconds: float = _LOOK_AGAIN_SECONDS


class GoTrueBridge:
    """Implements `AuthBridge` over both sides' auth.

    Args:
        sides: the two servers.
        directory: the two databases.
        settings: what the configuration says.
        importing: makes the source trust the target's key; None where that is not configured.
    """

    def __init__(
        self,
        sides: Mapping[Side, AuthSide],
        directory: Directory,
        settings: BridgeSettings,
        importing: KeyImport | None = None,
    ) -> None:
        self._sides = sides
        self._source, self._target = sides[Side.SOURCE], sides[Side.TARGET]
        self._directory = directory
        self._settings = settings
        self._importing = importing

    async def status(self) -> ItemsReport:
        """See `AuthBridge.status`. What cannot be asked is one inconclusive item among others."""
        answers = [await self._asked(f"{side.value}_answers", self._healthy(side)) for side in Side]
        trust = await self._trusted()
        return ItemsReport(
            items=(
                *answers,
                _of_trust(trust),
                await self._asked("sessions", self._sessions(trust)),
                await self._asked("users", self._users()),
            )
        )

    async def prepare(self) -> ItemsReport:
        """See `AuthBridge.prepare`. Imports at most one key, and none that is trusted already."""
        trust = await self._judged()
        if trust.holds is not False or self._importing is None:
            sessions = await self._asked("sessions", self._sessions(trust))
            return ItemsReport(items=(_of_trust(trust), sessions))
        imported = await self._importing.make_trusted(self._sides)
        if imported.outcome is Outcome.SUCCEEDED:
            trust = await self._judged()
        sessions = await self._asked("sessions", self._sessions(trust))
        return ItemsReport(items=(imported, _of_trust(trust), sessions))

    async def open_session(self, rollback_id: str) -> SessionProbe:
        """See `AuthBridge.open_session`. A repeat meets the same user and opens new sessions.

        Raises:
            UnreachableError: the target's auth does not answer, or has trouble of its own.
            CredentialsError: it does not take the service key.
            AuthRefusedError: it makes no user or no session.
        """
        secrets = self._settings.secrets
        email, password = secrets.email(rollback_id), secrets.password(rollback_id)
        created = await self._target.create_user(email, password)
        if created.status in _REFUSED_KEYS:
            raise CredentialsError(
                f"The target's auth does not let the service key make a user ({created.said}).",
                "Correct auth.target.service_key.",
            )
        opened = datetime.now(UTC)
        # Refused because the user is there already, or for another reason: signing in tells.
        rotated = (await self._signed_in(email, password, created)).text("refresh_token")
        token = rotated
        for _ in range(2):
            token = _fine(await self._target.refresh(token), "refresh").text("refresh_token")
        sessions = [await self._signed_in(email, password, created) for _ in range(SESSIONS)]
        newest = sessions[-1]
        user = newest.body.get("user")
        lifetime = newest.body.get("expires_in")
        held = SealedTokens(
            sessions=tuple(
                SealedSession(access=each.text("access_token"), refresh=each.text("refresh_token"))
                for each in reversed(sessions)
            ),
            rotated=rotated,
            expires_at=time.time() + (lifetime if isinstance(lifetime, int) else 0),
        )
        return SessionProbe(
            user_id=str(user["id"]) if isinstance(user, dict) else created.text("id"),
            sealed=secrets.seal(held),
            opened_at=opened,
        )

    async def accepts(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.accepts`."""
        began = time.perf_counter()
        held = self._settings.secrets.open(probe.sealed)
        answer = await self._source.user(held.sessions[0].access)
        outcome, detail = _accepted(answer, probe, over=time.time() >= held.expires_at)
        return _item("session_accepted", outcome, detail, began)

    async def refreshes(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.refreshes`. Takes a little longer than the reuse interval.

        Where an attempt was cut short, the next one takes another session of the probe.
        """
        began = time.perf_counter()
        held = self._settings.secrets.open(probe.sealed)
        interval = self._settings.reuse_interval_seconds
        shown = await proving.stays_rotated(
            self._source, held, probe.opened_at.timestamp(), interval
        )
        if shown.proof is Proof.HOLDS:
            for session in held.sessions:
                shown = await proving.refreshes_once(self._source, session, interval)
                if shown.proof is not Proof.SPENT:
                    break
        outcome = {Proof.HOLDS: Outcome.SUCCEEDED, Proof.BROKEN: Outcome.FAILED}.get(
            shown.proof, Outcome.INCONCLUSIVE
        )
        detail = shown.detail
        if shown.proof is Proof.SPENT:
            detail = "every session of the probe was used by attempts that did not tell their end"
        elif shown.proof is Proof.HOLDS:
            detail = "refreshed once; a used token and one that the target rotated are refused"
        return _item("session_refreshes", outcome, detail, began)

    async def close_session(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.close_session`. Both are told; the one that is fenced refuses.

        One that does not know the user, while the other cannot write, is taken for the one that
        takes writes: it was deleted there before.
        """
        began = time.perf_counter()
        told = {side: await self._deleted(side, probe.user_id) for side in Side}
        said = "; ".join(f"{side.value}: {answer.said}" for side, answer in told.items())
        done = [side for side, answer in told.items() if answer.fine]
        statuses = [answer.status for answer in told.values()]
        if done:
            outcome, detail = Outcome.SUCCEEDED, f"deleted on the {done[0].value}"
        elif _GONE in statuses and all(one == _GONE or one >= _CANNOT for one in statuses):
            outcome, detail = Outcome.SUCCEEDED, f"gone before ({said})"
        else:
            outcome, detail = Outcome.INCONCLUSIVE, f"our user {probe.user_id} is left ({said})"
        item = _item("session_closed", outcome, detail, began)
        return item.model_copy(update={"changed": bool(done)})

    async def aclose(self) -> None:
        """See `AuthBridge.aclose`."""
        closing = [side.aclose() for side in self._sides.values()]
        if self._importing is not None:
            closing.append(self._importing.aclose())
        await asyncio.gather(*closing, return_exceptions=True)

    async def _signed_in(self, email: str, password: str, created: Answer) -> Answer:
        answer = await self._target.sign_in(email, password)
        if not answer.fine and not created.fine:
            # The reason is the first refusal: without a user nobody signs in.
            _fine(created, "make a user")
        return _fine(answer, "sign our user in")

    async def _deleted(self, side: Side, user_id: str) -> Answer:
        try:
            return await self._sides[side].delete_user(user_id)
        except UnreachableError:
            return Answer(_NO_ANSWER)

    async def _judged(self) -> Trust:
        return await tokens.judge(self._sides, self._settings.secrets, self._settings.jwt_secret)

    async def _trusted(self) -> Trust:
        try:
            return await self._judged()
        except FailbackError as error:
            return Trust(None, error.cause)

    async def _healthy(self, side: Side) -> Item:
        answer = await self._sides[side].health()
        outcome = Outcome.SUCCEEDED if answer.fine and answer.body else Outcome.FAILED
        return Item(name=f"{side.value}_answers", outcome=outcome, detail=answer.said)

    async def _sessions(self, trust: Trust) -> Item:
        count = await self._directory.sessions()
        if trust.holds:
            return Item(
                name="sessions", outcome=Outcome.SUCCEEDED, detail=f"{count:,} sessions go on"
            )
        verb = "would" if trust.holds is False else "may"
        return Item(
            name="sessions",
            outcome=Outcome.FAILED if trust.holds is False else Outcome.INCONCLUSIVE,
            detail=f"{count:,} sessions {verb} end: their users have to sign in anew",
        )

    async def _users(self) -> Item:
        found = await self._directory.differences()
        if found:
            await asyncio.sleep(self._settings.look_again_seconds)
            found = found.lasting(await self._directory.differences())
        return Item(name="users", outcome=_of_users(found), detail=_told_of(found))

    async def _asked(self, name: str, asking: Awaitable[Item]) -> Item:
        try:
            return await asking
        except FailbackError as error:
            return Item(name=name, outcome=Outcome.INCONCLUSIVE, detail=str(error))


def _of_trust(trust: Trust) -> Item:
    outcome = {True: Outcome.SUCCEEDED, False: Outcome.FAILED, None: Outcome.INCONCLUSIVE}
    cure = f"; {_UNTRUSTED_CURE}" if trust.holds is False else ""
    return Item(name="tokens", outcome=outcome[trust.holds], detail=f"{trust.detail}{cure}")


def _of_users(found: UserDifferences) -> Outcome:
    if found.email_clashes:
        return Outcome.FAILED
    return Outcome.INCONCLUSIVE if found.changed else Outcome.SUCCEEDED


def _told_of(found: UserDifferences) -> str:
    parts = []
    if found.email_clashes:
        parts.append(
            f"{len(found.email_clashes):,} of the target have the address of another user of the"
            f" source, and cannot go back ({_named(found.email_clashes)}): rename or delete one"
        )
    if found.changed:
        parts.append(
            f"{len(found.changed):,} have another address or password on the source"
            f" ({_named(found.changed)}): the reverse sync has not carried them, or somebody"
            " changed them there"
        )
    return "; ".join(parts) or "the same on both sides"


def _named(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")


def _accepted(answer: Answer, probe: SessionProbe, *, over: bool) -> tuple[Outcome, str]:
    if answer.fine:
        if answer.text("id") == probe.user_id:
            return Outcome.SUCCEEDED, "the source knows the session that the target issued"
        return Outcome.FAILED, "the source takes it for another user's session"
    if answer.trusts:
        lacking = f"the source trusts the token and has no such session ({answer.said})"
        return Outcome.FAILED, f"{lacking}: its rows have not arrived; is auth.* in data.tables?"
    if over:
        return Outcome.INCONCLUSIVE, "the session's access token has ended meanwhile"
    if answer.trusts is False:
        return Outcome.FAILED, f"the source refuses the token ({answer.said}); {_UNTRUSTED_CURE}"
    return Outcome.INCONCLUSIVE, f"the source did not tell ({answer.said})"


def _fine(answer: Answer, what: str) -> Answer:
    if answer.fine:
        return answer
    cause = f"The target's auth did not {what} ({answer.said})."
    if answer.status >= _CANNOT and answer.code != _READ_ONLY:
        raise UnreachableError(cause, "It may be a moment's trouble; else see the server's log.")
    raise AuthRefusedError(
        cause, "It has to take writes and sign-ins by e-mail and password; see its own log."
    )


def _item(name: str, outcome: Outcome, detail: str, began: float) -> Item:
    return Item(
        name=name,
        outcome=outcome,
        detail=detail,
        milliseconds=(time.perf_counter() - began) * 1000,
    )
