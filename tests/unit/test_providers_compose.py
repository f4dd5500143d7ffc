"""An estate's ports, from its configuration."""

from typing import Any

import pytest

from failback.config import Estate
from failback.models.rollback import AvailabilityReport
from failback.providers.checks import HttpServiceChecks
from failback.providers.compose import Ports, compose, dry_run
from failback.providers.dns import FakeDnsProvider, Rfc2136DnsProvider
from failback.providers.dry_run import DryRunJournal, DryRunLoadBalancer, DryRunNotifier
from failback.providers.load_balancer import FakeLoadBalancer, HaproxyLoadBalancer
from failback.providers.notify import ChannelNotifier, FakeNotifier


def estate(**changes: Any) -> Estate:
    fields: dict[str, Any] = {
        "estate": "shop",
        "source": {"dsn": "postgresql://source/shop"},
        "target": {"dsn": "postgresql://target/shop"},
        "traffic": {
            "balancer": {"runtime_api": "unix:///run/haproxy.sock", "doors_map": "/etc/doors.map"},
            "routes": {"database": [{"backend": "database"}]},
            "hold_seconds": 7.0,
        },
    }
    return Estate(**{**fields, **changes})


DNS = {"server": "127.0.0.1:53", "zone": "shop.test.", "records": []}
CHECKS = {"api_url": "http://127.0.0.1:1", "journey": None, "probe_interval_seconds": 0.5}


async def test_ports_when_all_is_configured_then_the_real_ones() -> None:
    ports = compose(estate(dns=DNS, checks=CHECKS))
    assert isinstance(ports.balancer, HaproxyLoadBalancer)
    assert isinstance(ports.dns, Rfc2136DnsProvider)
    assert isinstance(ports.checks, HttpServiceChecks)
    assert isinstance(ports.notifier, ChannelNotifier)
    assert ports.probe_interval_seconds == 0.5
    assert ports.prober(AvailabilityReport(probes=1)).report().probes == 1
    await ports.aclose()


async def test_ports_when_parts_are_left_out_then_none() -> None:
    ports = compose(estate())
    assert (ports.dns, ports.checks) == (None, None)
    with pytest.raises(ValueError, match="no checks"):
        ports.prober(AvailabilityReport())
    dry = dry_run(ports, DryRunJournal())
    assert (dry.dns, dry.checks) == (None, None)
    await ports.aclose()


async def test_probes_when_requests_may_be_held_then_wait_longer_than_the_hold() -> None:
    ports = compose(estate(checks=CHECKS))
    assert isinstance(ports.checks, HttpServiceChecks)
    assert ports.checks._probe_seconds > 7.0
    await ports.aclose()


async def test_ports_when_dry_then_tell_instead_of_doing() -> None:
    ports = dry_run(compose(estate(dns=DNS, checks=CHECKS)), DryRunJournal())
    assert isinstance(ports.balancer, DryRunLoadBalancer)
    assert isinstance(ports.notifier, DryRunNotifier)
    assert ports.holds
    await ports.aclose()


async def test_ports_when_one_fails_to_close_then_the_others_still_do() -> None:
    balancer, dns, notifier = FakeLoadBalancer(), FakeDnsProvider(), FakeNotifier()
    balancer.fail("aclose")
    await Ports(balancer, dns, None, notifier).aclose()
    assert dns.called("aclose")
    assert notifier.called("aclose")
