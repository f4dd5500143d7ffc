"""Any other sender's JSON, by configured JMESPath expressions."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from failback.errors import WebhookError
from failback.gateway.parsers.reading import (
    NAME_LIMIT,
    Reading,
    identity,
    labels_of,
    moment,
    text,
)
from failback.models.alerts import Alert, AlertSource, AlertStatus
from failback.sections.gateway import GenericFieldsConfig, GenericWebhookConfig

_CURE = "Mend gateway.webhooks.generic, or what is sent."


class GenericParser:
    """Reads bodies as `gateway.webhooks.generic` describes them.

    Args:
        config: where an alert's parts are.
    """

    def __init__(self, config: GenericWebhookConfig) -> None:
        self._alerts = jmespath.compile(config.alerts)
        self._fields = {
            name: jmespath.compile(getattr(config.fields, name))
            for name in GenericFieldsConfig.model_fields
        }
        self._resolved = frozenset(word.lower() for word in config.resolved)

    def __call__(self, document: Any, received_at: datetime) -> Reading:
        """Every alert of a body.

        Raises:
            WebhookError: the expressions find no alert, or one without a name or a start.
        """
        found = _searched("alerts", self._alerts, document)
        items = found if isinstance(found, list) else [found]
        alerts = tuple(self._alert(item, received_at) for item in items if item is not None)
        if not alerts:
            raise WebhookError("No alert was found in the body.", _CURE)
        return Reading(alerts=alerts)

    def _alert(self, item: Any, received_at: datetime) -> Alert:
        found = {
            name: _searched(f"fields.{name}", expression, item)
            for name, expression in self._fields.items()
        }
        name = text(_plain("name", found["name"]), NAME_LIMIT)
        if not name:
            raise WebhookError("An alert has no name.", _CURE)
        labels = found["labels"] if isinstance(found["labels"], Mapping) else {}
        over = text(found["status"], NAME_LIMIT).lower() in self._resolved
        told = text(_plain("fingerprint", found["fingerprint"]))
        return Alert(
            source=AlertSource.GENERIC,
            fingerprint=identity(told) if told else identity("generic", name, _stable(labels)),
            name=name,
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            severity=text(found["severity"], NAME_LIMIT).lower(),
            starts_at=_time("starts_at", found["starts_at"]),
            ends_at=_time("ends_at", found["ends_at"]) if over and found["ends_at"] else None,
            received_at=received_at,
            summary=text(found["summary"]),
            labels=labels_of(labels),
            value=_number(found["value"]),
            url=text(found["url"]),
        )


def _searched(what: str, expression: Any, document: Any) -> Any:
    try:
        return expression.search(document)
    except (JMESPathError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise WebhookError(
            f"gateway.webhooks.generic.{what} cannot be used on this body: {type(error).__name__}.",
            _CURE,
        ) from error


def _plain(what: str, value: Any) -> Any:
    """A text or a number; a list or an object is no name."""
    if isinstance(value, list | Mapping):
        raise WebhookError(f"gateway.webhooks.generic.fields.{what} finds no text.", _CURE)
    return value


def _time(what: str, value: Any) -> datetime:
    try:
        return moment(value)
    except ValueError as error:
        raise WebhookError(
            f"gateway.webhooks.generic.fields.{what} finds {text(error)}.", _CURE
        ) from error


def _number(value: Any) -> float | None:
    try:
        number = float("nan") if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _stable(labels: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}={text(value)}" for name, value in sorted(labels.items()))
