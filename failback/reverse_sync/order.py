"""What a batch is asked for.

Changes when somebody may ask for something else.
"""

from dataclasses import dataclass, field

from failback.reverse_sync.apply import Pulse


@dataclass(frozen=True)
class Order:
    """What a batch is asked for.

    Args:
        publication: name of the publication, the same on both sides.
        limit: captured changes per batch.
        priority: wait for the stream instead of standing aside.
        wait_seconds: how long to wait with priority.
        pulse: called while rows flow; raises to stop.
        reprove: where capture is lost and the sender is fenced, compare everything instead of
            giving up: it stands still, so that what is found is all there is.
        compare: where nothing is captured, whether a comparison is due; without one such a batch
            does nothing.
        only: where nothing is captured, compare these tables alone, and prove nothing else.
    """

    publication: str
    limit: int | None
    priority: bool = False
    wait_seconds: float = 2.0
    pulse: Pulse = field(default=lambda: None)
    reprove: bool = False
    compare: bool = True
    only: frozenset[str] = frozenset()
