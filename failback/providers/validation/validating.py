"""Looks at the whole product by what the estate has for each of its parts."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from failback.errors import FailbackError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.models.traffic import CheckResult
from failback.ports import ReverseSyncEngine, ServiceChecks
from failback.providers.validation.baseline import Baseline, BaselineFile
from failback.providers.validation.integrity import IntegrityLook
from failback.providers.validation.looking import Look, Looking, listed, unknown, worst
from failback.providers.validation.performance import Measured, Performance
from failback.providers.validation.storage_access import StorageLook
from failback.sections.validation import ValidationConfig
from failback.system_ports import AuthBridge, FunctionFleet

CHECKS = (
    "database_connectivity",
    "auth_flow",
    "functions",
    "storage_access",
    "user_journeys",
    "data_integrity",
    "performance",
)
"""The seven, in the order in which reports have them."""

_NO_CHECKS = "the estate has no section checks"


class EstateValidation:
    """Implements `SystemValidation`. Nothing is written but the test user of a journey.

    Six checks run at the same time, and performance after them, so that they do not slow it.

    Args:
        config: deadlines.
        integrity: business rules and foreign keys.
        baseline: how fast the source was.
        performance: None where nothing is measured.
        storage: None where the estate has no buckets.
        checks: the running service; None where nothing says how it is looked at.
        functions: None where the product has none.
        auth: None where nothing says where auth is.
        engine: whose parked conflicts are counted; None where nobody asks.

    The ports that are passed in belong to whoever passed them, and stay open.
    """

    def __init__(
        self,
        config: ValidationConfig,
        integrity: IntegrityLook,
        baseline: BaselineFile,
        *,
        performance: Performance | None = None,
        storage: StorageLook | None = None,
        checks: ServiceChecks | None = None,
        functions: FunctionFleet | None = None,
        auth: AuthBridge | None = None,
        engine: ReverseSyncEngine | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._integrity = integrity
        self._baseline = baseline
        self._performance = performance
        self._storage = storage
        self._checks = checks
        self._functions = functions
        self._auth = auth
        self._engine = engine
        self._now = now

    async def validate(self) -> ItemsReport:
        """See `SystemValidation.validate`."""
        service = asyncio.create_task(self._service())
        seconds = self._config.timeout_seconds
        looks: Mapping[str, tuple[float, Looking]] = {
            "database_connectivity": (seconds, lambda: self._of_service(service, "database")),
            "auth_flow": (seconds, lambda: self._auth_flow(service)),
            "functions": (seconds, self._functions_answer),
            "storage_access": (seconds, self._storage_access),
            "user_journeys": (seconds, lambda: self._of_service(service, "journey")),
            # It keeps its own deadline, to say what it did not get to.
            "data_integrity": (
                self._config.integrity_timeout_seconds + seconds,
                self._data_integrity,
            ),
        }
        try:
            items = await asyncio.gather(
                *(_item(name, deadline, look) for name, (deadline, look) in looks.items())
            )
        finally:
            service.cancel()
            await asyncio.gather(service, return_exceptions=True)
        # Each path and statement has a deadline of its own.
        items.append(await _item("performance", None, lambda: self._fast_enough(service)))
        return ItemsReport(items=tuple(items))

    async def record_baseline(self) -> ItemsReport:
        """See `SystemValidation.record_baseline`. Nothing is kept where something failed.

        Raises:
            PerformanceBaselineError: the file cannot be written.
        """
        if self._performance is None:
            return ItemsReport(note="validation.performance is not configured")
        measured = await self._performance.measure()
        times = [one.times for one in measured if one.times is not None]
        whole = len(times) == len(measured)
        if whole:
            await asyncio.to_thread(self._baseline.write, times, self._now())
        return ItemsReport(
            items=tuple(_recorded(one, whole) for one in measured),
            note=f"kept in {self._baseline.path}" if whole else "nothing was kept",
        )

    async def aclose(self) -> None:
        """See `SystemValidation.aclose`."""
        if self._storage is not None:
            self._storage.close()

    async def _service(self) -> Mapping[str, CheckResult]:
        """One round of the running service's checks, shared by those who ask for one of them."""
        if self._checks is None:
            return {}
        return {result.name: result for result in await self._checks.check()}

    async def _of_service(
        self, service: "asyncio.Task[Mapping[str, CheckResult]]", name: str
    ) -> Look:
        if self._checks is None:
            return unknown(_NO_CHECKS)
        # A look that is given up must not take the round away from the others.
        found = (await asyncio.shield(service)).get(name)
        if found is None:
            return unknown(f"the section checks says nothing about {name}")
        return Look(found.outcome, found.detail)

    async def _auth_flow(self, service: "asyncio.Task[Mapping[str, CheckResult]]") -> Look:
        looks = []
        if self._checks is not None:
            looks.append(await self._of_service(service, "auth"))
        if self._auth is not None:
            report = await self._auth.status()
            looks.append(Look(report.outcome, report.detail))
        return worst(looks) if looks else unknown(f"{_NO_CHECKS}, and none auth")

    async def _functions_answer(self) -> Look:
        if self._functions is None:
            return unknown("functions are not configured")
        fleet, names = self._functions, await self._functions.names()
        items = await asyncio.gather(*(fleet.probe(name, Side.SOURCE) for name in names))
        looks = [Look(item.outcome, f"{item.name}: {item.detail}") for item in items]
        return worst(looks, f"{len(names)} functions answer")

    async def _storage_access(self) -> Look:
        if self._storage is None:
            return unknown("the estate has no section storage")
        return await asyncio.to_thread(self._storage.look)

    async def _data_integrity(self) -> Look:
        looks = [await asyncio.to_thread(self._integrity.look)]
        if self._engine is not None:
            looks.append(await asyncio.to_thread(_settled, self._engine))
        return worst(looks)

    async def _fast_enough(self, service: "asyncio.Task[Mapping[str, CheckResult]]") -> Look:
        looks = []
        done = service.done() and not service.cancelled() and service.exception() is None
        answered = service.result().get("response_time") if done else None
        if answered is not None:
            looks.append(Look(answered.outcome, answered.detail))
        if self._performance is None:
            looks.append(unknown("validation.performance is not configured"))
        else:
            baseline = await asyncio.to_thread(self._read_baseline)
            if isinstance(baseline, Look):
                looks.append(baseline)
            else:
                measured = await self._performance.measure()
                looks.append(self._performance.compared(measured, baseline))
        return worst(looks)

    def _read_baseline(self) -> Baseline | Look | None:
        try:
            return self._baseline.read()
        except FailbackError as error:
            return unknown(str(error))


def _settled(engine: ReverseSyncEngine) -> Look:
    """Whether every conflict was decided."""
    try:
        parked = engine.conflicts()
    except FailbackError as error:
        # The target may be gone for good, which says nothing about the source's data.
        return unknown(f"whether conflicts wait is not known: {error}")
    if not parked:
        return Look(Outcome.SUCCEEDED, "no conflict waits")
    tables = sorted({conflict.table for conflict in parked})
    waiting = f"{len(parked)} conflicts wait for somebody, in {listed(tables)}"
    return unknown(f"{waiting}: failback sync conflicts list")


async def _item(name: str, seconds: float | None, look: Looking) -> Item:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            outcome, detail = await look()
    except TimeoutError:
        outcome, detail = Outcome.FAILED, f"no answer within {seconds:g} s"
    except UnreachableError as error:
        outcome, detail = Outcome.FAILED, str(error)
    except FailbackError as error:
        outcome, detail = Outcome.INCONCLUSIVE, str(error)
    took = (time.perf_counter() - began) * 1000
    return Item(name=name, outcome=outcome, detail=detail, milliseconds=took)


def _recorded(measured: Measured, kept: bool) -> Item:
    times = measured.times
    if times is None:
        return Item(name=measured.name, outcome=Outcome.FAILED, detail=measured.problem)
    return Item(
        name=measured.name,
        outcome=Outcome.SUCCEEDED,
        detail=f"p50 {times.p50_ms:.1f} ms, p95 {times.p95_ms:.1f} ms of {times.count}",
        changed=kept,
        milliseconds=times.p50_ms,
    )
