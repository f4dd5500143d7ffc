"""Faults of the lab: which parts are down, and which faults the products carry out."""

from dataclasses import dataclass, field

from failback.errors import ConfigurationError, LabError
from failback.lab import faults as product_faults
from failback.lab import runtimes
from failback.lab.damage import DAMAGES
from failback.models.common import Side

PROCESS_FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "target-down": (
        "the target's product and Postgres are gone",
        ("target-product", "target-database"),
    ),
    "source-down": ("the source's Postgres is gone", ("source-database",)),
    "temporal-down": ("Temporal is gone", ("temporal",)),
    "balancer-down": ("the balancer is gone", ("balancer",)),
}
"""What each fault does to processes, with the parts that it keeps down."""
KNOWN: dict[str, str] = {
    **product_faults.FAULTS,
    **runtimes.FAULTS,
    **{name: text for name, (text, _) in PROCESS_FAULTS.items()},
    **{name: text for name, (text, *_) in DAMAGES.items()},
}
"""Every fault with what it does."""


@dataclass(frozen=True)
class Fault:
    """A fault that is asked for.

    Attributes:
        name: a key of `KNOWN`.
        side: whose product carries it out; process faults name their side themselves.
        share: part of the requests that are struck, 0..1; None takes the fault's own.
        seconds: what `latency` adds; None takes the fault's own.
    """

    name: str
    side: Side = Side.TARGET
    share: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.name not in KNOWN:
            raise ConfigurationError(
                f"There is no fault {self.name!r}.", f"Known faults: {', '.join(sorted(KNOWN))}."
            )

    @property
    def is_of_functions(self) -> bool:
        """Whether the side's runtime of functions carries it out, and remembers it."""
        return self.name in runtimes.FAULTS

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it keeps down; none for what a product does itself."""
        if self.lasts:
            return DAMAGES[self.name][1]
        return PROCESS_FAULTS[self.name][1] if self.name in PROCESS_FAULTS else ()

    @property
    def lasts(self) -> bool:
        """Whether it is damage, which nothing heals."""
        return self.name in DAMAGES

    @property
    def is_carried_out(self) -> bool:
        """Whether a running product or runtime carries it out, until it is told to end it."""
        return not self.lasts and self.name not in PROCESS_FAULTS


@dataclass
class Faults:
    """The faults that are on."""

    active: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Put a fault on, in place of the same one with other settings."""
        self.remove(fault.name, fault.side)
        self.active.append(fault)

    def remove(self, name: str, side: Side | None = None) -> list[Fault]:
        """Take a fault off, of one side or of both; returns those that were on."""
        gone = [
            fault
            for fault in self.active
            if fault.name == name and (side is None or fault.side is side)
        ]
        self.active = [fault for fault in self.active if fault not in gone]
        return gone

    def down(self) -> frozenset[str]:
        """The parts that have to be down."""
        return frozenset(part for fault in self.active for part in fault.parts)

    def of_product(self, side: Side) -> list[Fault]:
        """What one side's product carries out; it forgets this when it starts again."""
        return [
            fault
            for fault in self.active
            if fault.is_carried_out and not fault.is_of_functions and fault.side is side
        ]

    def healable(self, name: str | None) -> list[str]:
        """What of the faults that are on ends when this one, or all, are healed.

        Raises:
            LabError: it is damage.
        """
        if name is None:
            return sorted({fault.name for fault in self.active if not fault.lasts})
        if Fault(name).lasts:
            raise LabError(
                f"{name} is damage: nothing heals it.",
                "Recover the source (docs/recovery.md), or make the lab anew: `down --purge`.",
            )
        return [name]


def inflict(url: str, fault: Fault, *, on: bool) -> None:
    """Tell a product to carry a fault out, or to end it."""
    product_faults.apply(url, fault.name, on, share=fault.share, seconds=fault.seconds)
