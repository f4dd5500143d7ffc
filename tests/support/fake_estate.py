"""An estate of fakes behind a real worker and a real Temporal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from temporalio.client import Client

from failback.config import Estate
from failback.models.rollback import Phase, RollbackStatus
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.checks.availability import AvailabilityProber
from failback.providers.checks.fake import FakeServiceChecks
from failback.providers.dns.fake import FakeDnsProvider
from failback.providers.faults import Call
from failback.providers.load_balancer.fake import FakeLoadBalancer
from failback.providers.notify.fake import FakeNotifier
from failback.providers.pause.fake import FakeMigrationPause
from failback.providers.post_mortems import FakePostMortems
from failback.providers.reverse_sync.fake import FakeReverseSync
from failback.telemetry import Telemetry
from failback.temporal.client import connect
from failback.temporal.recoveries import Recoveries
from failback.temporal.rollbacks import Rollbacks
from failback.temporal.survey import TemporalRegistry
from workers.composition import THREADS, SystemPorts, WorkerPorts, build_worker
from workers.response import response_settings

from .fake_system import FakeSystem
from .responses import StandingMetrics

BACKENDS = ("database", "auth", "storage", "functions")


def estate_of(name: str, address: str, **changes: object) -> Estate:
    """An estate with every service, two names, two people, and short budgets."""
    document: dict[str, object] = {
        "estate": name,
        "temporal": {"address": address, "task_queue": f"queue-{name}"},
        "source": {"dsn": "postgresql://127.0.0.1:1/unused"},
        "target": {"dsn": "postgresql://127.0.0.1:1/unused"},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
            "routes": {backend: [{"backend": backend}] for backend in BACKENDS},
        },
        "dns": {
            "server": "127.0.0.1:1",
            "zone": "example.test.",
            "wait_seconds": 1.0,
            "records": [
                {"name": f"{name}.example.test.", "source": "s.test.", "target": "t.test."}
                for name in ("api", "auth")
            ],
        },
        "approvals": {
            "people": {"alice": ["engineering_lead"], "bob": ["operations", "intern"]},
            "levels": {
                1: {"quorum": 0},
                2: {"quorum": 1, "roles": ["engineering_lead", "operations"]},
                3: {"quorum": 1, "roles": ["engineering_lead"]},
                4: {"quorum": 1, "roles": ["engineering_lead"]},
            },
        },
    }
    return Estate.model_validate({**document, **changes})


@dataclass
class FakeEstate:
    """An estate of fakes behind a real worker and a real Temporal."""

    estate: Estate
    client: Client
    rollbacks: Rollbacks
    recoveries: Recoveries
    calls: list[Call]
    balancer: FakeLoadBalancer
    dns: FakeDnsProvider
    checks: FakeServiceChecks
    notifier: FakeNotifier
    engine: FakeReverseSync
    audit: FakeAuditLog = field(default_factory=FakeAuditLog)
    pause: FakeMigrationPause = field(default_factory=FakeMigrationPause)
    metrics: StandingMetrics = field(default_factory=StandingMetrics)
    post_mortems: FakePostMortems = field(default_factory=FakePostMortems)
    system: FakeSystem = field(init=False)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS))

    def __post_init__(self) -> None:
        self.system = FakeSystem(self.calls)

    @property
    def ports(self) -> WorkerPorts:
        """The fakes as a worker takes them."""
        return WorkerPorts(
            balancer=self.balancer,
            dns=self.dns,
            checks=self.checks,
            notifier=self.notifier,
            engine=self.engine,
            audit=self.audit,
            post_mortems=self.post_mortems,
            pause=self.pause,
            response=response_settings(self.estate, search_attributes=False),
            gather=self.metrics.gather,
            registry=TemporalRegistry(self.client, self.estate.estate),
            probe=lambda before: AvailabilityProber(self.checks, 0.05, before),
            system=self.system.ports,
        )

    def effects(self) -> list[str]:
        """The calls that change something in the write gap, in order."""
        wanted = {"close_door", "raise_fence", "drain", "drain_late", "set_all_weights"}
        wanted |= {"lift_fence", "open_door"}
        return [
            f"{call.method}:{call.arguments[0]}" if "fence" in call.method else call.method
            for call in self.calls
            if call.method in wanted
        ]

    async def until(
        self, wanted: Callable[[RollbackStatus], bool], seconds: float = 20.0
    ) -> RollbackStatus:
        """Ask for the newest rollback's status until it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            status = await self.rollbacks.status(None)
            if wanted(status):
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"still {status.phase} at {status.step}: {status.detail}")
            await asyncio.sleep(0.02)

    async def until_phase(self, phase: Phase) -> RollbackStatus:
        """Wait for a phase."""
        return await self.until(lambda status: status.phase is phase)


@contextlib.asynccontextmanager
async def fake_estate(
    name: str,
    address: str,
    *,
    worker: bool = True,
    armed: bool = True,
    system: bool = True,
    telemetry: Telemetry | None = None,
    **changes: object,
) -> AsyncIterator[FakeEstate]:
    """Fakes, client, and a worker unless the caller brings its own, until the body ends."""
    estate = estate_of(name, address, **changes)
    calls: list[Call] = []
    routes = [backend for route in estate.plan(1).routes for backend in route.backends]
    client = (
        await connect(estate)
        if telemetry is None
        else await connect(estate, interceptors=telemetry.interceptors(), runtime=telemetry.runtime)
    )
    fakes = FakeEstate(
        estate=estate,
        client=client,
        rollbacks=Rollbacks(client, estate),
        recoveries=Recoveries(client, estate.estate),
        calls=calls,
        balancer=FakeLoadBalancer(routes, calls=calls),
        dns=FakeDnsProvider(estate.dns.records if estate.dns else (), calls=calls),
        checks=FakeServiceChecks(calls=calls),
        notifier=FakeNotifier(calls=calls),
        engine=FakeReverseSync(armed=armed, calls=calls),
    )
    with fakes.threads:
        if not worker:
            yield fakes
            return
        ports = fakes.ports if system else replace(fakes.ports, system=SystemPorts())
        async with build_worker(client, estate.temporal.task_queue, ports, fakes.threads):
            try:
                yield fakes
            finally:
                for method in ("drain", "raise_fence", "verify", "drain_late", "run_batch"):
                    fakes.engine.release(method)


MakeEstate = Callable[..., Awaitable[FakeEstate]]
