"""Effects of a full-system rollback: paused work, functions, sessions, configuration."""

import asyncio
import time

from temporalio import activity

from activities.failures import maps_errors
from activities.heartbeating import beating
from failback.models.common import Outcome
from failback.models.requests import StepRequest
from failback.models.system import Item, ItemsReport, SessionProbe
from failback.models.system_requests import (
    FunctionNames,
    FunctionRequest,
    ItemReport,
    PauseActivitiesRequest,
    ResumeActivitiesRequest,
    SessionRequest,
    SwitchConfigurationRequest,
    ValidateSystemRequest,
)
from failback.system_ports import (
    AuthBridge,
    ConfigurationSwitch,
    FunctionFleet,
    MigrationActivityPause,
    SystemValidation,
)

_BEAT_SECONDS = 1.0
_ROUND_SECONDS = 0.2
"""Between two rounds of validation, when the first did not pass."""


def _not_configured(what: str) -> ItemsReport:
    """The answer where the estate says nothing about this part of the product."""
    return ItemsReport(note=f"{what}: not configured")


def _counted(report: ItemsReport) -> ItemsReport:
    return report.model_copy(update={"attempts": activity.info().attempt})


class PauseActivities:
    """Stops what migrates, and lets it go on.

    Args:
        pauses: the estate's hooks; None where nothing is to be paused.
    """

    def __init__(self, pauses: MigrationActivityPause | None) -> None:
        self._pauses = pauses

    @activity.defn
    @maps_errors
    async def pause_activities(self, request: PauseActivitiesRequest) -> ItemsReport:
        """Stop every configured activity of the migration."""
        if self._pauses is None:
            return _not_configured("pauses")
        async with beating(_BEAT_SECONDS):
            return _counted(await self._pauses.pause(request.rollback_id, request.reason))

    @activity.defn
    @maps_errors
    async def resume_activities(self, request: ResumeActivitiesRequest) -> ItemsReport:
        """Let what this rollback paused go on."""
        if self._pauses is None:
            return _not_configured("pauses")
        async with beating(_BEAT_SECONDS):
            return _counted(await self._pauses.resume(request.rollback_id, request.names))


class FunctionActivities:
    """Brings functions back, one at a time.

    Args:
        functions: both sides' functions; None where the product has none.
    """

    def __init__(self, functions: FunctionFleet | None) -> None:
        self._functions = functions

    @activity.defn
    @maps_errors
    async def list_functions(self, _request: StepRequest) -> FunctionNames:
        """Every function that has to be brought back."""
        if self._functions is None:
            return FunctionNames()
        async with beating(_BEAT_SECONDS):
            return FunctionNames(names=await self._functions.names())

    @activity.defn
    @maps_errors
    async def bring_function_back(self, request: FunctionRequest) -> ItemReport:
        """Disable one on the target, enable it on the source, and ask it there."""
        if self._functions is None:
            return _missing(request.name)
        async with beating(_BEAT_SECONDS):
            item = await self._functions.bring_back(request.name)
        return ItemReport(item=item, attempts=activity.info().attempt)

    @activity.defn
    @maps_errors
    async def put_function_back(self, request: FunctionRequest) -> ItemReport:
        """Undo `bring_function_back`."""
        if self._functions is None:
            return _missing(request.name)
        async with beating(_BEAT_SECONDS):
            item = await self._functions.put_back(request.name)
        return ItemReport(item=item, attempts=activity.info().attempt)


def _missing(name: str) -> ItemReport:
    return ItemReport(
        item=Item(name=name, outcome=Outcome.INCONCLUSIVE, detail="functions: not configured")
    )


class AuthActivities:
    """Carries sessions over.

    Args:
        auth: both sides' auth; None where the estate does not say where it is.
    """

    def __init__(self, auth: AuthBridge | None) -> None:
        self._auth = auth

    @activity.defn
    @maps_errors
    async def prepare_auth(self, _request: StepRequest) -> ItemsReport:
        """Make the source accept the target's tokens, and say whether it does."""
        if self._auth is None:
            return _not_configured("auth")
        async with beating(_BEAT_SECONDS):
            return _counted(await self._auth.prepare())

    @activity.defn
    @maps_errors
    async def open_session(self, request: StepRequest) -> SessionProbe | None:
        """Sign a user of our own up on the target; None where auth is not configured."""
        if self._auth is None:
            return None
        async with beating(_BEAT_SECONDS):
            return await self._auth.open_session(request.rollback_id)

    @activity.defn
    @maps_errors
    async def confirm_session(self, request: SessionRequest) -> ItemReport:
        """Whether the source knows the session that the target issued."""
        async with beating(_BEAT_SECONDS):
            item = await self._known_auth().accepts(request.probe)
        return ItemReport(item=item, attempts=activity.info().attempt)

    @activity.defn
    @maps_errors
    async def confirm_refresh(self, request: SessionRequest) -> ItemReport:
        """Whether its refresh token works once on the source, and not again."""
        async with beating(_BEAT_SECONDS):
            item = await self._known_auth().refreshes(request.probe)
        return ItemReport(item=item, attempts=activity.info().attempt)

    @activity.defn
    @maps_errors
    async def close_session(self, request: SessionRequest) -> ItemReport:
        """Delete our user again."""
        async with beating(_BEAT_SECONDS):
            item = await self._known_auth().close_session(request.probe)
        return ItemReport(item=item, attempts=activity.info().attempt)

    def _known_auth(self) -> AuthBridge:
        if self._auth is None:
            raise RuntimeError("a session was opened, and this worker has no auth configured")
        return self._auth


class ConfigurationActivities:
    """Switches keyed values between the sides.

    Args:
        configuration: the estate's keys; None where it has none.
    """

    def __init__(self, configuration: ConfigurationSwitch | None) -> None:
        self._configuration = configuration

    @activity.defn
    @maps_errors
    async def switch_configuration(self, request: SwitchConfigurationRequest) -> ItemsReport:
        """Give every key one side's value, and read it back."""
        if self._configuration is None:
            return _not_configured("configuration")
        async with beating(_BEAT_SECONDS):
            return _counted(await self._configuration.switch(request.side))


class ValidationActivities:
    """Looks at the whole product.

    Args:
        validation: the estate's seven checks; None where nothing can be looked at.
    """

    def __init__(self, validation: SystemValidation | None) -> None:
        self._validation = validation

    @activity.defn
    @maps_errors
    async def validate_system(self, request: ValidateSystemRequest) -> ItemsReport:
        """Run all checks until none fails or the patience is over; what is unknown may stay so."""
        if self._validation is None:
            return _not_configured("validation")
        deadline = time.monotonic() + request.patience_seconds
        async with beating(_BEAT_SECONDS):
            while True:
                report = await self._validation.validate()
                if report.outcome is not Outcome.FAILED or time.monotonic() >= deadline:
                    return _counted(report)
                await asyncio.sleep(_ROUND_SECONDS)
