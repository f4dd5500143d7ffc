"""Backups of the project's database. The stand-in says what was asked for; it restores nothing."""

import time
from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter

from failback.lab.management.kept import Kept
from failback.lab.management.refusals import RefusalError, body_of

_RESTORE_SECONDS = 1.0
_LAG_SECONDS = 2


class _RestoreTo(BaseModel):
    recovery_time_target_unix: int = Field(ge=0)


class _Named(BaseModel):
    name: str = Field(min_length=1, max_length=20)


_RESTORE_TO = TypeAdapter(_RestoreTo)
_NAMED = TypeAdapter(_Named)


class Backups:
    """Handlers under `/database/backups`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """What the application serves of this part."""
        path = f"{prefix}/database/backups"
        return [
            web.get(path, self.read_all),
            web.post(f"{path}/restore-pitr", self.restore),
            web.get(f"{path}/restore-point", self.restore_point),
            web.post(f"{path}/restore-point", self.create_restore_point),
            web.post(f"{path}/undo", self.undo),
        ]

    @property
    def restoring(self) -> bool:
        """Whether the project is down for a restore."""
        return time.time() < float(self._kept.state["restoring_until"])

    async def read_all(self, _request: web.Request) -> web.Response:
        """Daily backups, and the span that can be returned to."""
        taken = self._kept.state["backups"]
        earliest, latest = self._span()
        return web.json_response(
            {
                "region": "us-east-1",
                "walg_enabled": True,
                "pitr_enabled": True,
                "backups": [
                    {
                        "is_physical_backup": True,
                        "status": "COMPLETED",
                        "inserted_at": datetime.fromtimestamp(at, UTC).isoformat(),
                    }
                    for at in taken
                ],
                "physical_backup_data": {
                    "earliest_physical_backup_date_unix": earliest,
                    "latest_physical_backup_date_unix": latest,
                },
            }
        )

    async def restore(self, request: web.Request) -> web.Response:
        """Begin to take the database back to a point in time."""
        moment = (await body_of(request, _RESTORE_TO)).recovery_time_target_unix
        earliest, latest = self._span()
        if not earliest <= moment <= latest:
            raise RefusalError(400, f"recovery_time_target_unix: outside of {earliest} to {latest}")
        self._begin({"to": moment})
        return web.Response(status=201)

    async def restore_point(self, request: web.Request) -> web.Response:
        """A restore point; 404 where there is none of this name."""
        name = request.query.get("name", "")
        if name not in self._kept.state["restore_points"]:
            raise RefusalError(404, "Restore point not found")
        return web.json_response({"name": name, "status": "AVAILABLE"})

    async def create_restore_point(self, request: web.Request) -> web.Response:
        """Make a restore point: it is pending, and available when it is asked for."""
        name = (await body_of(request, _NAMED)).name
        with self._kept.changing() as state:
            state["restore_points"][name] = int(time.time())
        return web.json_response({"name": name, "status": "PENDING"}, status=201)

    async def undo(self, request: web.Request) -> web.Response:
        """Begin to take the database back to a restore point."""
        name = (await body_of(request, _NAMED)).name
        if name not in self._kept.state["restore_points"]:
            raise RefusalError(404, "Restore point not found")
        self._begin({"to": self._kept.state["restore_points"][name], "restore_point": name})
        return web.Response(status=201)

    def _begin(self, restore: dict[str, object]) -> None:
        if self.restoring:
            raise RefusalError(409, "The project is being restored already")
        now = time.time()
        with self._kept.changing() as state:
            state["restores"].append({**restore, "asked_at": int(now)})
            state["restoring_until"] = now + _RESTORE_SECONDS

    def _span(self) -> tuple[int, int]:
        return min(self._kept.state["backups"]), int(time.time()) - _LAG_SECONDS
