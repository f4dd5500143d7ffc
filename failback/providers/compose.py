"""Builds the ports of an estate from its configuration."""

import asyncio
from dataclasses import dataclass

from failback.config import Estate
from failback.models.rollback import AvailabilityReport
from failback.ports import (
    AuditLog,
    DnsProvider,
    LoadBalancer,
    MetricStore,
    MigrationPause,
    Notifier,
    ServiceChecks,
)
from failback.providers.audit import open_audit_log
from failback.providers.checks import AvailabilityProber, HttpServiceChecks
from failback.providers.dns import Rfc2136DnsProvider
from failback.providers.dry_run import (
    DryRunChecks,
    DryRunDns,
    DryRunJournal,
    DryRunLoadBalancer,
    DryRunNotifier,
)
from failback.providers.load_balancer import HaproxyLoadBalancer
from failback.providers.metrics import PrometheusMetrics
from failback.providers.notify import ChannelNotifier, MessageLinks
from failback.providers.pause import HookMigrationPause

_BEYOND_THE_HOLD_SECONDS = 1.0


@dataclass(frozen=True)
class Ports:
    """An estate's outside world, but for the reverse sync."""

    balancer: LoadBalancer
    dns: DnsProvider | None
    """None where the estate moves no names."""
    checks: ServiceChecks | None
    """None where nothing says how the service is looked at."""
    notifier: Notifier
    holds: bool = True
    """Whether the balancer can hold requests."""
    probe_interval_seconds: float = 0.1
    audit: AuditLog | None = None
    """None where what is done is only told."""
    pause: MigrationPause | None = None
    """None where nothing pauses migration activities."""
    metrics: MetricStore | None = None
    """None where nobody says where metrics are."""

    def prober(self, before: AvailabilityReport) -> AvailabilityProber:
        """A prober of this estate that goes on from earlier counts.

        Raises:
            ValueError: the estate has no checks.
        """
        if self.checks is None:
            raise ValueError("the estate has no checks to probe with")
        return AvailabilityProber(self.checks, self.probe_interval_seconds, before)

    async def aclose(self) -> None:
        """Give back every connection; one that fails to close keeps none of the others open."""
        ports = (
            self.balancer,
            self.dns,
            self.checks,
            self.notifier,
            self.audit,
            self.pause,
            self.metrics,
        )
        await asyncio.gather(
            *(port.aclose() for port in ports if port is not None), return_exceptions=True
        )


def compose(estate: Estate) -> Ports:
    """The real ports of an estate. Nothing is connected to yet.

    Raises:
        ConfigurationError: an address, a key or a name cannot be used.
    """
    checks, interval = None, 0.1
    if estate.checks is not None:
        interval = estate.checks.probe_interval_seconds
        # A probe that is held and answered late is a passed one.
        held = estate.traffic.hold_seconds + _BEYOND_THE_HOLD_SECONDS
        checks = HttpServiceChecks(estate.checks, max(estate.checks.timeout_seconds, held))
    return Ports(
        balancer=HaproxyLoadBalancer(estate.traffic.balancer),
        dns=Rfc2136DnsProvider(estate.dns) if estate.dns is not None else None,
        checks=checks,
        notifier=ChannelNotifier(
            estate.notifications,
            estate.messages,
            links=MessageLinks(
                estate.approvals, estate.gateway.public_url if estate.gateway else ""
            ),
        ),
        holds=bool(estate.traffic.balancer.doors_map),
        probe_interval_seconds=interval,
        audit=open_audit_log(estate.estate, estate.audit),
        pause=HookMigrationPause(estate.estate, estate.investigation)
        if estate.investigation.pause_url is not None
        else None,
        metrics=metric_store(estate),
    )


def metric_store(estate: Estate) -> MetricStore | None:
    """Where an estate's metrics are read; None where nobody says so."""
    if estate.metrics is None:
        return None
    return PrometheusMetrics(estate.metrics, estate.queries)


def dry_run(ports: Ports, journal: DryRunJournal) -> Ports:
    """The same ports with every write told to the journal instead of done."""
    return Ports(
        balancer=DryRunLoadBalancer(ports.balancer, journal, holds=ports.holds),
        dns=DryRunDns(ports.dns, journal) if ports.dns is not None else None,
        checks=DryRunChecks(ports.checks, journal) if ports.checks is not None else None,
        notifier=DryRunNotifier(ports.notifier, journal),
        holds=ports.holds,
        probe_interval_seconds=ports.probe_interval_seconds,
    )
