"""Checks of a running service whose state a test decides."""

from collections.abc import Sequence

from failback.models.common import Outcome
from failback.models.traffic import CheckResult
from failback.providers.faults import Call, Faults

CHECKS = ("database", "auth", "response_time", "journey")
PROBES = ("database", "auth", "api")


class FakeServiceChecks(Faults):
    """Every check passes until it is broken.

    A failure injected by `fail` makes every check of that round fail with the error's text:
    the port knows no exceptions.
    """

    def __init__(
        self,
        checks: Sequence[str] = CHECKS,
        probes: Sequence[str] = PROBES,
        *,
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("checks", calls)
        self._checks = tuple(checks)
        self._probes = tuple(probes)
        self._broken: dict[str, tuple[Outcome, str, int | None]] = {}

    def break_check(
        self,
        name: str,
        times: int | None = None,
        *,
        outcome: Outcome = Outcome.FAILED,
        detail: str = "broken by the test",
    ) -> None:
        """Let one check or probe fail, so many times or until it is mended."""
        if name not in (*self._checks, *self._probes):
            raise KeyError(name)
        self._broken[name] = (outcome, detail, times)

    def mend_check(self, name: str) -> None:
        """Let one check or probe pass again."""
        self._broken.pop(name, None)

    async def names(self) -> tuple[str, ...]:
        """See `ServiceChecks.names`."""
        return self._checks

    async def check(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.check`."""
        return await self._round("check", self._checks)

    async def probe(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.probe`."""
        return await self._round("probe", self._probes)

    async def aclose(self) -> None:
        """See `ServiceChecks.aclose`."""
        await self._called("aclose")

    async def _round(self, method: str, names: tuple[str, ...]) -> tuple[CheckResult, ...]:
        failure = await self._passed(method)
        if failure is not None:
            return tuple(
                CheckResult(name=name, outcome=Outcome.FAILED, detail=str(failure))
                for name in names
            )
        return tuple(self._result(name) for name in names)

    def _result(self, name: str) -> CheckResult:
        outcome, detail, times = self._broken.get(name, (Outcome.SUCCEEDED, "", None))
        if times is not None:
            if times > 1:
                self._broken[name] = (outcome, detail, times - 1)
            else:
                self.mend_check(name)
        return CheckResult(name=name, outcome=outcome, milliseconds=1.0, detail=detail)
