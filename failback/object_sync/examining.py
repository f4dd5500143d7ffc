"""What everything that only looks at pairs of buckets needs: both listings, and a comparison.

Changes when looking at a pair needs something else.
"""

from collections.abc import Iterator

from failback.object_sync.comparing import Comparer
from failback.object_sync.inventory import Inventory
from failback.object_sync.judging import Finding
from failback.object_sync.pairs import Pair
from failback.object_sync.passes import list_both
from failback.ports import Progress
from failback.storage_ports import ObjectEndpoint


class Examiner:
    """Looks at pairs of buckets. It writes no object.

    Args:
        inventory: knows, and is told, what both sides have.
        source: the source's endpoint.
        target: the target's endpoint.
        piece_bytes: so much of an object is in memory while it is read.
        parallel: objects that are compared at once.
    """

    def __init__(
        self,
        inventory: Inventory,
        source: ObjectEndpoint,
        target: ObjectEndpoint,
        piece_bytes: int,
        parallel: int,
    ) -> None:
        self._inventory = inventory
        self._source = source
        self._target = target
        self._comparer = Comparer(source, target, piece_bytes)
        self._parallel = parallel

    def _findings(self, pair: Pair, progress: Progress) -> Iterator[Finding]:
        """Every key of a pair, from listings of now."""
        list_both(self._inventory, pair, self._source, self._target, progress)
        self._inventory.see_deleted(self._target.deleted(pair.target, pair.prefix))
        self._inventory.plan(pair.name, changed=False)
        return self._inventory.findings()
