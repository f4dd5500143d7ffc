"""Tables that may differ by more than what is captured: compared, and proved to be equal again.

Changes when another reason makes a table suspect, or another proof clears it.
"""

from dataclasses import dataclass

from failback.models.sync import TableProblem
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.refusals import Stopped
from failback.reverse_sync.reproof import Reproof, Unlike


@dataclass(frozen=True)
class Suspects:
    """The suspect tables of one batch.

    Args:
        lane: the sessions; the reader and the writer are in the batch's transactions.
        held: the stream's position, with the marks that tables carry.
        pairs: the suspect tables.
        reproof: compares both sides as of the batch's snapshot.
    """

    lane: Lane
    held: StreamPosition
    pairs: tuple[TablePair, ...]
    reproof: Reproof

    @property
    def to_compare(self) -> tuple[TablePair, ...]:
        """Those whose rows decide what is carried; a table that is copied whole needs none."""
        return tuple(pair for pair in self.pairs if pair.qualified not in self.held.copy_whole)

    def prove(self, unlike: tuple[Unlike, ...]) -> None:
        """Compare again what differed, and take the mark off tables that are equal now.

        Args:
            unlike: what the tables differed by before the batch carried their rows over.

        Raises:
            Stopped: a table still differs: something changes rows as they are written.
        """
        left = self._left(unlike)
        if left:
            receiver = self.lane.direction.receiver.value
            raise Stopped(
                TableProblem(
                    table=left[0].pair.qualified,
                    problem=f"still differs after its rows were carried over to the {receiver}",
                    cure="Look for what changes them there: a trigger that is ENABLE ALWAYS, or a "
                    "rule; `failback sync verify` names the rows",
                )
            )
        if self.held.unproven:
            self.lane.writer.execute(
                "UPDATE failback.stream_table SET unproven = ''"
                " WHERE stream = %s AND name = ANY (%s) AND unproven <> ''",
                [self.lane.direction.name, [pair.qualified for pair in self.pairs]],
            )

    def _left(self, unlike: tuple[Unlike, ...]) -> tuple[Unlike, ...]:
        """What still differs, now that the batch's rows are there."""
        if self.held.receiver_lsn is not None:
            # The receiver has rows of its own now, and rows that are parked are not equal. Each
            # difference was applied or parked in this transaction.
            return ()
        equal = {each.pair.qualified for each in unlike if each.equal}
        again = self.reproof.compare(pair for pair in self.pairs if pair.qualified not in equal)
        return tuple(each for each in again if not each.equal)
