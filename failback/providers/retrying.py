"""What an answer says about when to ask again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

_LONGEST_WAIT_SECONDS = 300.0


def retry_after(answer: httpx.Response, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, section 10.2.3), bounded."""
    value = answer.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (at.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds()
    if not seconds >= 0.0:
        return None
    return min(seconds, _LONGEST_WAIT_SECONDS)
