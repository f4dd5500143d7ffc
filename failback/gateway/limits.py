"""A token bucket for each sender: bursts are let through, floods are not."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from failback.gateway.refusals import RefusedError
from failback.sections.gateway import LimitsConfig

SENDERS = 10_000
"""As many are remembered; who was not heard of for longest is forgotten first."""


class RateLimit:
    """Lets so many requests of a sender through.

    Args:
        limits: `burst` at once, `per_second` in the long run.
        clock: seconds that only go forward.
    """

    def __init__(self, limits: LimitsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, sender: str) -> None:
        """Count one request.

        Raises:
            RefusedError: 429, with the seconds after which the next one is let through.
        """
        now = self._clock()
        level, since = self._buckets.pop(sender, (float(self._limits.burst), now))
        level = min(self._limits.burst, level + (now - since) * self._limits.per_second)
        granted = level >= 1.0
        self._buckets[sender] = (level - 1.0 if granted else level, now)
        if len(self._buckets) > SENDERS:
            self._buckets.popitem(last=False)
        if not granted:
            wait = max(1, math.ceil((1.0 - level) / self._limits.per_second))
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "More requests of one sender than gateway.limits lets through.",
                f"Send it again after {wait} s.",
                {"Retry-After": str(wait)},
            )
