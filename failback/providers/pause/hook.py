"""Pauses migration activities by a POST to whatever runs them."""

import json

from pydantic import SecretStr

from failback.models.responses import MigrationPauseReport
from failback.providers.pause.calling import HookCaller
from failback.sections.investigation import InvestigationConfig


class HookMigrationPause:
    """Implements `MigrationPause`: `{"estate", "investigation_id", "action", "reason"}` as JSON.

    `Idempotency-Key` is the investigation's id and the action, so that a repeated call can be told
    from a second one.

    Args:
        estate: the estate's name.
        config: the addresses, and the token that is sent with each call.
        pause_seconds: before the second try; doubled before the third.
    """

    def __init__(
        self, estate: str, config: InvestigationConfig, *, pause_seconds: float = 0.5
    ) -> None:
        self._estate = estate
        self._config = config
        self._caller = HookCaller(config.timeout_seconds, pause_seconds)

    async def pause(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.pause`."""
        return await self._told("pause", self._config.pause_url, investigation_id, reason)

    async def resume(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.resume`."""
        return await self._told("resume", self._config.resume_url, investigation_id, reason)

    async def aclose(self) -> None:
        """See `MigrationPause.aclose`."""
        await self._caller.aclose()

    async def _told(
        self, action: str, url: SecretStr | None, investigation_id: str, reason: str
    ) -> MigrationPauseReport:
        if url is None:
            return MigrationPauseReport(
                done=False, detail=f"nothing to call: investigation.{action}_url is not set"
            )
        body = {
            "estate": self._estate,
            "investigation_id": investigation_id,
            "action": action,
            "reason": reason,
        }
        headers = {"Idempotency-Key": f"{investigation_id}/{action}"}
        if self._config.token is not None:
            headers["Authorization"] = f"Bearer {self._config.token.get_secret_value()}"
        done, detail = await self._caller.post(
            url.get_secret_value(), json.dumps(body, ensure_ascii=False).encode(), headers
        )
        return MigrationPauseReport(done=done, detail=detail)
