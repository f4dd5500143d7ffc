"""Functions go back one by one: off on the target, on on the source, and asked there."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from failback.errors import FailbackError, PlatformMissingError, PlatformRefusedError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.providers.functions.asking import FunctionAsker
from failback.providers.functions.comparing import (
    Difference,
    code_difference,
    missing_on_source,
    secret_differences,
)
from failback.providers.functions.platform import DeployedFunction, FunctionPlatform
from failback.sections.functions import FunctionConfig, FunctionsConfig


@dataclass(frozen=True)
class _Seen:
    """What one side's platform said: its functions, and digests of secrets where some count."""

    functions: Mapping[str, DeployedFunction]
    secrets: Mapping[str, str]


@dataclass(frozen=True)
class _Switched:
    """What became of an order to the target."""

    changed: bool
    told: str
    certain: bool = True


class SidedFunctionFleet:
    """Implements `FunctionFleet` over one platform a side.

    Args:
        config: the functions and what is expected of each.
        source: where they go back to.
        target: where they run now.
        asker: sends their probes.
    """

    def __init__(
        self,
        config: FunctionsConfig,
        *,
        source: FunctionPlatform,
        target: FunctionPlatform,
        asker: FunctionAsker,
    ) -> None:
        self._config = config
        self._source = source
        self._target = target
        self._asker = asker

    async def names(self) -> tuple[str, ...]:
        """See `FunctionFleet.names`."""
        return tuple(function.name for function in self._config.deployed)

    async def status(self) -> ItemsReport:
        """See `FunctionFleet.status`."""
        source, target = await asyncio.gather(self._seen(self._source), self._seen(self._target))
        listed = {function.name for function in self._config.deployed}
        unlisted = sorted(set(target.functions) - listed)
        note = ""
        if unlisted:
            note = f"on the target and not under functions.deployed: {', '.join(unlisted)}"
        items = [self._compared(function, source, target) for function in self._config.deployed]
        return ItemsReport(items=tuple(items), note=note)

    async def bring_back(self, name: str) -> Item:
        """See `FunctionFleet.bring_back`.

        Nothing changes where the source does not have the function. A target that does not answer
        keeps nobody from going back: the function is enabled and asked on the source, and the item
        is inconclusive.
        """
        function = self._config.function(name)
        if function is None:
            return _not_listed(name)
        there = (await self._source.deployed()).get(name)
        if there is None:
            return _failed(name, missing_on_source(name, self._source))
        off = await self._disabled_on_target(name)
        try:
            now = await self._source.enable(name)
        except PlatformRefusedError as error:
            return _failed(name, f"{off.told}; {error}", changed=off.changed)
        changed = off.changed or not there.enabled
        if not now.enabled:
            why = f" ({now.note}). {now.cure}" if now.note else ""
            told = f"{off.told}; it is still not enabled on {self._source.place}{why}"
            return _failed(name, told, changed=changed)
        answered = await self._asker.ask(function, Side.SOURCE)
        told = f"{off.told}; {'enabled' if not there.enabled else 'was enabled'} on the source"
        if answered.outcome is not Outcome.SUCCEEDED:
            told = "; ".join([told, answered.detail, *await self._causes(function)])
        outcome = answered.outcome
        if outcome is Outcome.SUCCEEDED and not off.certain:
            outcome = Outcome.INCONCLUSIVE
        return answered.model_copy(update={"outcome": outcome, "detail": told, "changed": changed})

    async def put_back(self, name: str) -> Item:
        """See `FunctionFleet.put_back`."""
        if self._config.function(name) is None:
            return _not_listed(name)
        there = (await self._target.deployed()).get(name)
        if there is None:
            told = f"not deployed on the target, {self._target.place}"
            return Item(name=name, outcome=Outcome.SUCCEEDED, detail=f"{told}: nothing to enable")
        try:
            now = await self._target.enable(name)
        except PlatformRefusedError as error:
            return _failed(name, str(error))
        if not now.enabled:
            return _failed(name, f"it is still not enabled on {self._target.place}")
        told = "was enabled on the target" if there.enabled else "enabled on the target"
        return Item(name=name, outcome=Outcome.SUCCEEDED, detail=told, changed=not there.enabled)

    async def probe(self, name: str, side: Side) -> Item:
        """See `FunctionFleet.probe`."""
        function = self._config.function(name)
        return _not_listed(name) if function is None else await self._asker.ask(function, side)

    async def aclose(self) -> None:
        """See `FunctionFleet.aclose`."""
        await asyncio.gather(
            self._source.aclose(),
            self._target.aclose(),
            self._asker.aclose(),
            return_exceptions=True,
        )

    async def _disabled_on_target(self, name: str) -> _Switched:
        try:
            there = (await self._target.deployed()).get(name)
            if there is None:
                return _Switched(changed=False, told="not deployed on the target")
            now = await self._target.disable(name)
        except PlatformMissingError:
            return _Switched(changed=False, told="not deployed on the target")
        except FailbackError as error:
            told = f"whether it is disabled on the target is not known: {error}"
            return _Switched(changed=False, told=told, certain=False)
        if now.enabled:
            told = f"it is still enabled on {self._target.place}"
            return _Switched(changed=False, told=told, certain=False)
        told = "disabled on the target" if there.enabled else "was disabled on the target"
        return _Switched(changed=there.enabled, told=told)

    async def _seen(self, platform: FunctionPlatform) -> _Seen:
        functions = await platform.deployed()
        counts = any(function.secrets for function in self._config.deployed)
        return _Seen(functions, await platform.secrets() if counts else {})

    async def _causes(self, function: FunctionConfig) -> list[str]:
        """What may be why a function answers badly; nothing where a side cannot be asked."""
        try:
            source, target = await asyncio.gather(
                self._seen(self._source), self._seen(self._target)
            )
        except FailbackError:
            return []
        found = self._differences(function, source, target)
        return [each.text.rstrip(".") for each in found if each.outcome is Outcome.FAILED]

    def _compared(self, function: FunctionConfig, source: _Seen, target: _Seen) -> Item:
        found = self._differences(function, source, target)
        outcomes = {each.outcome for each in found}
        outcome = next(
            (one for one in (Outcome.FAILED, Outcome.INCONCLUSIVE) if one in outcomes),
            Outcome.SUCCEEDED,
        )
        state = "; ".join(
            f"{side.value}: {_state(seen.functions.get(function.name))}"
            for side, seen in ((Side.SOURCE, source), (Side.TARGET, target))
        )
        detail = "; ".join([*(each.text.rstrip(".") for each in found), state])
        return Item(name=function.name, outcome=outcome, detail=detail)

    def _differences(
        self, function: FunctionConfig, source: _Seen, target: _Seen
    ) -> list[Difference]:
        there = source.functions.get(function.name)
        here = target.functions.get(function.name)
        if there is None:
            return [Difference(Outcome.FAILED, missing_on_source(function.name, self._source))]
        found: list[Difference] = []
        if here is None:
            told = f"not deployed on the target, {self._target.place}: nothing to compare"
            found.append(Difference(Outcome.INCONCLUSIVE, told))
        elif (code := code_difference(function, there, here)) is not None:
            found.append(code)
        cure = self._source.how_to_set_secrets()
        found += secret_differences(function.secrets, source.secrets, target.secrets, cure)
        if there.note:
            found.append(Difference(Outcome.FAILED, f"{there.note} on the source. {there.cure}"))
        return found


def _state(function: DeployedFunction | None) -> str:
    if function is None:
        return "missing"
    words = ["enabled" if function.enabled else "disabled"]
    if function.version:
        words.append(f"version {function.version}")
    if function.digest:
        words.append(function.digest)
    return ", ".join(words)


def _failed(name: str, detail: str, *, changed: bool = False) -> Item:
    return Item(name=name, outcome=Outcome.FAILED, detail=detail, changed=changed)


def _not_listed(name: str) -> Item:
    return _failed(name, "not listed under functions.deployed. Add it there, with its probe.")
