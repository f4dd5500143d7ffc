"""Alertmanager's routes: everything to failback's gateway, and each alert to whom it is for."""

from collections.abc import Mapping
from typing import Any

from failback.config_keys import nearest_of
from failback.errors import ConfigurationError
from failback.models.messages import Audience
from failback.rules.definitions import Definitions
from failback.rules.writing import document

GATEWAY = "failback"
"""The receiver that is failback's gateway."""

_HEAD = """\
Written by `failback rules alertmanager`: write it again instead of changing it.
Every alert goes to failback's gateway at once, and, by its label `notifies`, to the receivers of
its audiences. Those without an integration here are told by failback itself (`notifications` of
failback.yaml); `--receivers FILE` gives them one of Alertmanager's own.\
"""


def alertmanager_file(
    definitions: Definitions,
    gateway_url: str,
    token_file: str,
    receivers: Mapping[str, Any] | None = None,
) -> str:
    """A whole configuration.

    Args:
        definitions: whose audiences get a receiver.
        gateway_url: base URL of failback's gateway.
        token_file: where Alertmanager finds the bearer token; never the token itself.
        receivers: integrations by audience, each a mapping as below Alertmanager's `receivers`,
            without a name.

    Raises:
        ConfigurationError: an audience that nobody knows, or what is no mapping.
    """
    own = dict(receivers or {})
    _check(own)
    named = {
        name for alert in (*definitions.alerts, *definitions.matrix) for name in alert.audiences
    }
    audiences = [one.value for one in Audience if one.value in named | set(own)]
    content = {
        "route": {
            "receiver": GATEWAY,
            # One alert a message: what an alert leads to must not wait for a group.
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "10s",
            "repeat_interval": "5m",
            "routes": [
                {"receiver": GATEWAY, "continue": True},
                *(_route(audience) for audience in audiences),
            ],
        },
        "receivers": [
            _gateway(gateway_url, token_file),
            *({"name": audience, **(own.get(audience) or {})} for audience in audiences),
        ],
    }
    return document(_HEAD, content)


def _check(receivers: Mapping[str, Any]) -> None:
    known = [audience.value for audience in Audience]
    for name, integrations in receivers.items():
        if name not in known:
            raise ConfigurationError(f"Nobody knows audience {name}{nearest_of(str(name), known)}.")
        if not isinstance(integrations, Mapping) or "name" in integrations:
            raise ConfigurationError(
                f"Receiver {name} is no mapping of integrations.",
                "Write it as below Alertmanager's receivers, without its name.",
            )


def _route(audience: str) -> dict[str, Any]:
    return {
        "receiver": audience,
        "matchers": [f'notifies =~ "(.*,)?{audience}(,.*)?"'],
        "group_by": ["alertname"],
        "continue": True,
    }


def _gateway(url: str, token_file: str) -> dict[str, Any]:
    return {
        "name": GATEWAY,
        "webhook_configs": [
            {
                "url": f"{url.rstrip('/')}/webhooks/alertmanager",
                "send_resolved": True,
                "http_config": {
                    "authorization": {"type": "Bearer", "credentials_file": token_file}
                },
            }
        ],
    }
