"""An activity that is paused by a POST to whatever runs it."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr

from failback.models.common import Outcome
from failback.providers.notify.webhook import signature, signing_key
from failback.providers.pause.calling import HookCaller
from failback.providers.pauses.activity import Remembered, Seen, Told
from failback.sections.pauses import PauseHookConfig


class HookActivity:
    """Implements `Activity`: `{"estate", "rollback_id", "activity", "action", "reason"}` as JSON.

    `Idempotency-Key` and `webhook-id` are the same in repeats. With a signing secret each POST is
    signed as the Standard Webhooks specification says.

    Args:
        estate: the estate's name.
        name: the activity's.
        config: the addresses, and what calls are proved with.
        pause_seconds: before the second try; doubled before the third.
        now: the clock.
    """

    def __init__(
        self,
        estate: str,
        name: str,
        config: PauseHookConfig,
        *,
        pause_seconds: float = 0.5,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._estate = estate
        self._name = name
        self._config = config
        self._now = now
        secret = config.signing_secret
        self._key = signing_key(secret.get_secret_value()) if secret is not None else b""
        self._caller = HookCaller(config.timeout_seconds, pause_seconds)

    async def look(self) -> Remembered:
        """See `Activity.look`. Only the hook's owner knows what it stops."""
        return {}

    async def stop(self, told: Told, _remembered: Remembered) -> Seen:
        """See `Activity.stop`."""
        return await self._asked("pause", self._config.pause_url, told)

    async def start(self, told: Told, _remembered: Remembered) -> Seen:
        """See `Activity.start`."""
        return await self._asked("resume", self._config.resume_url, told)

    async def running(self, _remembered: Remembered) -> Seen | None:
        """See `Activity.running`."""
        if self._config.status_url is None:
            return None
        paused, why = await self._paused()
        if paused is None:
            return Seen(Outcome.INCONCLUSIVE, why)
        return None if paused else Seen(Outcome.FAILED, "it says that it runs")

    async def aclose(self) -> None:
        """See `Activity.aclose`."""
        await self._caller.aclose()

    async def _asked(self, action: str, url: SecretStr, told: Told) -> Seen:
        body = json.dumps(
            {
                "estate": self._estate,
                "rollback_id": told.rollback_id,
                "activity": self._name,
                "action": action,
                "reason": told.reason,
            },
            ensure_ascii=False,
        ).encode()
        done, answer = await self._caller.post(
            url.get_secret_value(), body, {**self._proof(), **self._signed(told.key, body)}
        )
        if not done:
            return Seen(Outcome.FAILED, f"the hook did not {action} it: {answer}", changed=False)
        if self._config.status_url is None:
            return Seen(Outcome.SUCCEEDED, f"{answer}; it has no status_url to read it back from")
        paused, why = await self._paused()
        if paused is None:
            return Seen(Outcome.INCONCLUSIVE, f"{answer}; {why}")
        if paused is not (action == "pause"):
            state = "paused" if paused else "running"
            return Seen(Outcome.FAILED, f"{answer}, and then it says that it is {state}")
        return Seen(Outcome.SUCCEEDED, f"{answer}, and it says so")

    async def _paused(self) -> tuple[bool | None, str]:
        """What the hook's owner says; None and why where it says nothing."""
        url = self._config.status_url
        if url is None:
            return None, "it has no status_url"
        answer = await self._caller.ask("GET", url.get_secret_value(), self._proof())
        if isinstance(answer, str):
            return None, f"its state is not known: {answer}"
        paused = _member(answer, "paused")
        if not answer.is_success or not isinstance(paused, bool):
            return None, f"its state is not known: HTTP {answer.status_code}"
        return paused, ""

    def _proof(self) -> dict[str, str]:
        token = self._config.token
        return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        stamp = str(int(self._now().timestamp()))
        headers = {"Idempotency-Key": key, "webhook-id": name, "webhook-timestamp": stamp}
        if self._key:
            headers["webhook-signature"] = signature(self._key, name, stamp, body)
        return headers


def _member(answer: httpx.Response, name: str) -> object:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get(name) if isinstance(document, dict) else None
