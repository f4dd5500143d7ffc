"""Pauses migration activities by a POST to whatever runs them."""

import asyncio

import httpx
from pydantic import SecretStr

from failback.models.responses import MigrationPauseReport
from failback.sections.investigation import InvestigationConfig

_TRIES = 3


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
        self._pause = pause_seconds
        self._http: httpx.AsyncClient | None = None

    async def pause(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.pause`."""
        return await self._told("pause", self._config.pause_url, investigation_id, reason)

    async def resume(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.resume`."""
        return await self._told("resume", self._config.resume_url, investigation_id, reason)

    async def aclose(self) -> None:
        """See `MigrationPause.aclose`."""
        client, self._http = self._http, None
        if client is not None:
            await client.aclose()

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
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._pause * 2 ** (attempt - 1))
            try:
                async with asyncio.timeout(self._config.timeout_seconds):
                    answer = await self._client().post(
                        url.get_secret_value(), json=body, headers=headers
                    )
            except TimeoutError:
                problem = f"no answer within {self._config.timeout_seconds:g} s"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # The class alone: some texts repeat the address, which is a secret.
                problem = type(error).__name__
            else:
                problem = f"HTTP {answer.status_code}"
                if answer.is_success:
                    return MigrationPauseReport(done=True, detail=problem)
                if answer.is_client_error:
                    break
        return MigrationPauseReport(done=False, detail=problem)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._config.timeout_seconds)
        return self._http
