"""A validation whose findings a test decides."""

from failback.models.common import Outcome
from failback.models.system import Item, ItemsReport
from failback.providers.faults import Call, Faults
from failback.providers.validation.validating import CHECKS


class FakeSystemValidation(Faults):
    """Implements `SystemValidation`: every check passes until it is broken."""

    def __init__(self, *, calls: list[Call] | None = None) -> None:
        super().__init__("validation", calls)
        self._broken: dict[str, Outcome] = {}
        self.recorded = False

    def break_check(self, name: str, outcome: Outcome = Outcome.FAILED) -> None:
        """Let one check end so until it is mended. Raises KeyError where there is none."""
        if name not in CHECKS:
            raise KeyError(name)
        self._broken[name] = outcome

    def mend_check(self, name: str) -> None:
        """Let one check pass again."""
        self._broken.pop(name, None)

    async def validate(self) -> ItemsReport:
        """See `SystemValidation.validate`."""
        await self._called("validate")
        return ItemsReport(
            items=tuple(
                Item(name=name, outcome=self._broken.get(name, Outcome.SUCCEEDED), detail="told so")
                for name in CHECKS
            )
        )

    async def record_baseline(self) -> ItemsReport:
        """See `SystemValidation.record_baseline`."""
        await self._called("record_baseline")
        self.recorded = True
        item = Item(name="GET /", outcome=Outcome.SUCCEEDED, detail="p50 1.0 ms", changed=True)
        return ItemsReport(items=(item,))

    async def aclose(self) -> None:
        """See `SystemValidation.aclose`."""
        await self._called("aclose")
