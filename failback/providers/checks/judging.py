"""Turns one look at a service into a result: timed, bounded, and without secrets."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from failback.models.common import Outcome
from failback.models.traffic import CheckResult

_LONGEST_DETAIL = 300


class CheckFailedError(Exception):
    """A check saw something wrong; its text says what. Never leaves this package."""


class Judge:
    """Runs checks and makes results of them.

    Args:
        secrets: texts that no detail may contain.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        # The longest first, so that no rest of one stays where another is its beginning.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    async def result(
        self, name: str, seconds: float, look: Callable[[], Awaitable[str]]
    ) -> CheckResult:
        """Run one check with a deadline; whatever it raises makes it a failed one.

        Args:
            name: the check's name.
            seconds: its deadline.
            look: does the work and returns what was seen.
        """
        began = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                detail, outcome = await look(), Outcome.SUCCEEDED
        except TimeoutError:
            detail, outcome = f"no answer within {seconds:g} s", Outcome.FAILED
        except CheckFailedError as error:
            detail, outcome = str(error), Outcome.FAILED
        except Exception as error:  # noqa: BLE001 -- the port promises results, no exceptions
            detail, outcome = f"{type(error).__name__}: {error}", Outcome.FAILED
        return CheckResult(
            name=name,
            outcome=outcome,
            milliseconds=(time.perf_counter() - began) * 1000,
            detail=self.safe(detail),
        )

    def safe(self, text: str) -> str:
        """A text on one line, of bounded length, with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_LONGEST_DETAIL]
