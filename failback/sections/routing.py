"""Where traffic and names go."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from failback.models.common import Service
from failback.models.traffic import BackendRoute, DnsRecord
from failback.sections.base import Section


class HaproxyConfig(Section):
    """HAProxy, by its runtime API."""

    provider: Literal["haproxy"] = "haproxy"
    runtime_api: str
    """`unix:///path/to.sock` or `tcp://host:port`."""
    doors_map: str = ""
    """The map file that the holding Lua action reads; empty where requests cannot be held."""


class TrafficConfig(Section):
    """Traffic routes by service."""

    balancer: HaproxyConfig
    routes: dict[Service, tuple[BackendRoute, ...]]
    hold_seconds: float = Field(default=10.0, gt=0, le=60)

    @field_validator("routes")
    @classmethod
    def _routes_have_backends(
        cls, routes: dict[Service, tuple[BackendRoute, ...]]
    ) -> dict[Service, tuple[BackendRoute, ...]]:
        for service, backends in routes.items():
            if not backends:
                raise ValueError(f"service {service.value} has no backend")
        return routes


class TsigConfig(Section):
    """The key that signs updates."""

    name: str
    secret: SecretStr
    algorithm: str = "hmac-sha256"


class DnsConfig(Section):
    """Dynamic DNS (RFC 2136) and the records that move."""

    provider: Literal["rfc2136"] = "rfc2136"
    server: str
    """`host:port` of the primary name server."""
    zone: str
    tsig: TsigConfig | None = None
    records: tuple[DnsRecord, ...]
    resolvers: tuple[str, ...] = ()
    """`host:port` each; empty asks the primary alone."""
    wait_seconds: float = Field(default=30.0, gt=0)
