"""What parsers share: the shape of their answer, and bounded texts, times and labels."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from failback.errors import WebhookError
from failback.models.alerts import Alert

NAME_LIMIT = 200
TEXT_LIMIT = 1000
LABELS_LIMIT = 64
LABEL_NAME_LIMIT = 128
LABEL_VALUE_LIMIT = 256
_FINGERPRINT_LIMIT = 128
_PROBLEMS = 3
_MILLISECONDS_FROM = 100_000_000_000
"""As seconds this is the year 5138: a larger number counts milliseconds."""


@dataclass(frozen=True)
class Reading:
    """What one body says."""

    alerts: tuple[Alert, ...] = ()
    truncated: int = 0
    """Alerts that the sender left out of a body that became too long."""
    sent_at: datetime | None = None
    """When it was sent, where the sender says so."""
    note: str = ""
    """Why there is no alert in it, where there is none."""


Parser = Callable[[Any, datetime], Reading]
"""Reads a JSON document that was received at a time. Raises WebhookError."""


class Sent(BaseModel):
    """Base of what senders send. What is not named here is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Shape = TypeVar("Shape", bound=Sent)


def shaped(shape: type[Shape], document: Any, sender: str) -> Shape:
    """A document as its sender's shape.

    Raises:
        WebhookError: it has another one; the text names the places and holds no value.
    """
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        raise WebhookError(
            f"This is no webhook of {sender}: {explained(error)}.",
            f"Send what docs/gateway.md describes for {sender}, or use /webhooks/generic.",
        ) from error


def explained(error: ValidationError) -> str:
    """The first places where a document does not fit, without any of its values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = "; ".join(
        f"{'.'.join(str(part)[:40] for part in problem['loc']) or 'the body'}:"
        f" {problem['msg'].removeprefix('Value error, ')[:200]}"
        for problem in problems[:_PROBLEMS]
    )
    more = len(problems) - _PROBLEMS
    return f"{told}; and {more} more" if more > 0 else told


def moment(value: Any) -> datetime:
    """A time in UTC, from ISO 8601 or from seconds or milliseconds since 1970.

    Raises:
        ValueError: it is no time, or has no time zone.
    """
    try:
        at = _timed(value)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError("not a time") from error
    if at is None:
        raise ValueError("not a time with its offset from UTC")
    return at


def _timed(value: Any) -> datetime | None:
    """The time that a text or a number names; None where it is neither or has no offset."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and not value.isascii():
        return None
    if isinstance(value, str) and not value.strip().lstrip("-").replace(".", "", 1).isdecimal():
        at = datetime.fromisoformat(value.strip())
        return None if at.tzinfo is None else at.astimezone(UTC)
    number = float(value)
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return datetime.fromtimestamp(seconds, UTC)


Moment = Annotated[datetime, BeforeValidator(moment)]
"""A time as any sender writes it, in UTC."""


def text(value: Any, limit: int = TEXT_LIMIT) -> str:
    """One bounded text without control characters, whatever the sender put there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    raw = value if isinstance(value, str) else str(value)
    clean = "".join(
        char if char.isprintable() else " " for char in raw[: 4 * limit].strip()
    ).strip()
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def labels_of(*sources: Mapping[str, Any]) -> dict[str, str]:
    """Bounded labels, those of earlier sources first; what is empty is left out."""
    found: dict[str, str] = {}
    for source in sources:
        for name, value in source.items():
            if len(found) >= LABELS_LIMIT:
                return found
            label, told = text(name, LABEL_NAME_LIMIT), text(value, LABEL_VALUE_LIMIT)
            if label and told:
                found.setdefault(label, told)
    return found


def identity(*parts: str) -> str:
    """A fingerprint: the one part where it is short, else the hash of all."""
    if len(parts) == 1 and 0 < len(parts[0]) <= _FINGERPRINT_LIMIT and parts[0].isprintable():
        return parts[0]
    joined = "\n".join(parts).encode("utf-8", "replace")
    return hashlib.sha256(joined).hexdigest()[:32]
