"""Functions in memory, for tests and for trying things out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from failback.errors import PlatformMissingError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.providers.functions.platform import DeployedFunction


@dataclass
class FakePlatform:
    """Implements `FunctionPlatform` in memory.

    Attributes:
        functions: by name; change it to deploy, remove or expire one.
        digests: SHA-256 of secrets' values by name.
        before: called with each call's name: may raise what a platform raises.
    """

    place: str = "a platform in memory"
    functions: dict[str, DeployedFunction] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _call: None

    def how_to_deploy(self, name: str) -> str:
        """See `FunctionPlatform.how_to_deploy`."""
        return f"Deploy {name} to {self.place}."

    def how_to_set_secrets(self) -> str:
        """See `FunctionPlatform.how_to_set_secrets`."""
        return f"Set them on {self.place}."

    async def deployed(self) -> Mapping[str, DeployedFunction]:
        """See `FunctionPlatform.deployed`."""
        self.before("deployed")
        return dict(self.functions)

    async def secrets(self) -> Mapping[str, str]:
        """See `FunctionPlatform.secrets`."""
        self.before("secrets")
        return dict(self.digests)

    async def enable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.enable`."""
        self.before("enable")
        return self._switched(name, enabled=True)

    async def disable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.disable`."""
        self.before("disable")
        return self._switched(name, enabled=False)

    async def aclose(self) -> None:
        """See `FunctionPlatform.aclose`."""

    def _switched(self, name: str, *, enabled: bool) -> DeployedFunction:
        if name not in self.functions:
            raise PlatformMissingError(f"{self.place} has no function {name}.", "Deploy it.")
        self.functions[name] = replace(self.functions[name], enabled=enabled)
        return self.functions[name]


class FakeFunctionFleet:
    """Implements `FunctionFleet` in memory: every function answers where it is enabled.

    Args:
        names: the functions, all enabled on the target and disabled on the source.
        missing: those that the source does not have.
    """

    def __init__(self, names: Sequence[str] = ("hello",), missing: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self._missing = frozenset(missing)
        self.enabled = {Side.TARGET: set(names), Side.SOURCE: set[str]()}
        """By side the functions that are enabled."""
        self.broken: set[str] = set()
        """Functions that answer an error on the source."""
        self.calls: list[str] = []
        """`bring_back NAME` and `put_back NAME`, as they came."""

    async def names(self) -> tuple[str, ...]:
        """See `FunctionFleet.names`."""
        return self._names

    async def status(self) -> ItemsReport:
        """See `FunctionFleet.status`."""
        return ItemsReport(items=tuple(self._known(name) for name in self._names))

    async def bring_back(self, name: str) -> Item:
        """See `FunctionFleet.bring_back`."""
        self.calls.append(f"bring_back {name}")
        known = self._known(name)
        if known.outcome is Outcome.FAILED:
            return known
        changed = name in self.enabled[Side.TARGET] or name not in self.enabled[Side.SOURCE]
        self.enabled[Side.TARGET].discard(name)
        self.enabled[Side.SOURCE].add(name)
        return (await self.probe(name, Side.SOURCE)).model_copy(update={"changed": changed})

    async def put_back(self, name: str) -> Item:
        """See `FunctionFleet.put_back`."""
        self.calls.append(f"put_back {name}")
        if name not in self._names:
            return self._known(name)
        changed = name not in self.enabled[Side.TARGET]
        self.enabled[Side.TARGET].add(name)
        return Item(name=name, outcome=Outcome.SUCCEEDED, changed=changed)

    async def probe(self, name: str, side: Side) -> Item:
        """See `FunctionFleet.probe`."""
        well = name in self.enabled[side] and not (side is Side.SOURCE and name in self.broken)
        return Item(
            name=name,
            outcome=Outcome.SUCCEEDED if well else Outcome.FAILED,
            detail="" if well else f"on the {side.value}: HTTP 500",
        )

    async def aclose(self) -> None:
        """See `FunctionFleet.aclose`."""

    def _known(self, name: str) -> Item:
        if name not in self._names:
            return Item(name=name, outcome=Outcome.FAILED, detail="not listed. Add it.")
        if name in self._missing:
            told = f"not deployed on the source. Deploy {name} there."
            return Item(name=name, outcome=Outcome.FAILED, detail=told)
        return Item(name=name, outcome=Outcome.SUCCEEDED)
