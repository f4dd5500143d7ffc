"""Which side sends and which receives: direction is data, not a second code path."""

from dataclasses import dataclass

from failback.models.common import Side


@dataclass(frozen=True)
class Direction:
    """The way that changes take. While the migration is live the target sends."""

    sender: Side = Side.TARGET
    """The side whose changes are captured."""

    @property
    def receiver(self) -> Side:
        """The side that changes are applied to."""
        return self.sender.other

    @property
    def name(self) -> str:
        """`target-to-source`: the stream's name where both sides keep what they know of it."""
        return f"{self.sender.value}-to-{self.receiver.value}"
