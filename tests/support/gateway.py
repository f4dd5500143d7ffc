"""A gateway on fakes, asked without a network, and senders that know its secrets."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette

from failback.config import Estate
from failback.gateway.api.bodies import Readiness
from failback.gateway.app import GatewayPorts, build_app
from failback.gateway.intake import FakeIntake, Intake
from failback.gateway.links import ApprovalLinks
from failback.gateway.metrics import Metrics
from failback.gateway.senders import senders_of
from failback.providers.audit import FakeAuditLog

from support.amazon import FakeAmazon
from support.fake_estate import estate_of
from support.fake_recoveries import FakeRecoveries
from support.fake_rollbacks import FakeRollbacks
from support.webhook_bodies import NOW, TOPIC

BEARER = "the-senders-own-bearer-token"
SECRETS = ("first-signing-secret", "second-signing-secret")
TOKENS = {
    "viewer": "a-token-that-looks-only",
    "operator": "a-token-that-starts-things",
    "approver": "a-token-that-decides",
}
HOLDERS = {"viewer": "victor", "operator": "olga", "approver": "alice"}

GATEWAY: dict[str, Any] = {
    "webhooks": {
        "alertmanager": {"tokens": ["an-older-token", BEARER]},
        "grafana": {"secrets": list(SECRETS)},
        "pagerduty": {"secrets": list(SECRETS)},
        "datadog": {"tokens": [BEARER]},
        "cloudwatch": {"topics": [TOPIC]},
        "generic": {
            "tokens": [BEARER],
            "alerts": "incidents[]",
            "fields": {"name": "title", "fingerprint": "id", "starts_at": "opened"},
        },
    },
    "tokens": [
        {"name": HOLDERS[role], "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        for role, token in TOKENS.items()
    ],
}


@dataclass
class FakeHealth:
    """Whether Temporal answers, as a test says."""

    wrong: str = ""

    async def why_not(self) -> str:
        return self.wrong


@dataclass
class FakeGateway:
    """A gateway on fakes."""

    estate: Estate
    amazon: FakeAmazon = field(default_factory=FakeAmazon)
    intake: Intake = field(default_factory=FakeIntake)
    audit: FakeAuditLog = field(default_factory=FakeAuditLog)
    rollbacks: FakeRollbacks = field(default_factory=FakeRollbacks)
    recoveries: FakeRecoveries = field(default_factory=FakeRecoveries)
    temporal: FakeHealth = field(default_factory=FakeHealth)
    metrics: Metrics = field(default_factory=Metrics)
    links: ApprovalLinks | None = None
    looks: int = 0

    async def _desk(self) -> Any:
        return self.rollbacks

    async def _recoveries(self) -> Any:
        return self.recoveries

    async def _look(self) -> Readiness:
        self.looks += 1
        return Readiness(estate=self.estate.estate, answer="yes", looked_at=NOW, findings=())

    def app(self) -> Starlette:
        assert self.estate.gateway is not None
        ports = GatewayPorts(
            senders=senders_of(self.estate.gateway, self.amazon, lambda: NOW),
            intake=self.intake,
            temporal=self.temporal,
            desk=self._desk,
            recoveries=self._recoveries,
            audit=self.audit,
            look=self._look,
            links=self.links,
        )
        return build_app(self.estate, ports, self.metrics)

    @contextlib.asynccontextmanager
    async def asked(
        self, base_url: str = "https://gateway.test"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client of this gateway; an unexpected error is answered, as a server answers it."""
        transport = httpx.ASGITransport(self.app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client


def gateway_of(gateway: dict[str, Any] | None = None, **parts: Any) -> FakeGateway:
    """A gateway whose configuration is `GATEWAY` with changes of its sections."""
    changed = {**GATEWAY, **(gateway or {})}
    return FakeGateway(estate_of("gateway-test", "127.0.0.1:1", gateway=changed), **parts)


def signature(body: bytes, secret: str = SECRETS[0]) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def bearer(token: str = BEARER) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def signed_headers(sender: str, body: bytes, secret: str = SECRETS[0]) -> dict[str, str]:
    """What a sender that knows its secret sends along with a body."""
    if sender == "grafana":
        stamp = str(int(NOW.timestamp()))
        return {
            "Content-Type": "application/json",
            "X-Grafana-Alerting-Timestamp": stamp,
            "X-Grafana-Alerting-Signature": signature(f"{stamp}:".encode() + body, secret),
        }
    if sender == "pagerduty":
        return {
            "Content-Type": "application/json",
            "X-PagerDuty-Signature": f"v1={signature(body, secret)}",
        }
    if sender == "cloudwatch":
        return {"Content-Type": "text/plain; charset=UTF-8"}
    return bearer()


def written(document: Any) -> bytes:
    return json.dumps(document).encode()
