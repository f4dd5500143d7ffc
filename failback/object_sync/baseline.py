"""Records what both sides have, so that a delete on the target is known for one later."""

from collections import Counter
from itertools import islice

from failback.errors import ObjectChangedError
from failback.models.storage import StorageBaseline
from failback.object_sync.examining import Examiner
from failback.object_sync.judging import Finding, Known
from failback.object_sync.pairs import Pair
from failback.object_sync.working import as_done
from failback.ports import Progress


class Recorder(Examiner):
    """Records baselines; see `Examiner` for what it is given."""

    def recorded(self, pair: Pair, progress: Progress) -> StorageBaseline:
        """Record one pair of buckets, and say what was found."""
        findings = self._findings(pair, progress)
        counts: Counter[str] = Counter()
        done = as_done(
            findings,
            lambda one: self._seen(pair, one),
            self._parallel,
            lambda: progress(f"{pair.target}: waiting for an object"),
        )
        while chunk := list(islice(done, self._parallel * 4)):
            counts.update(word for _, word, _ in chunk)
            self._inventory.record(
                pair.name, [(found, known) for found, _, known in chunk if known is not None]
            )
            progress(f"{pair.target}: {counts.total()} objects recorded")
        self._inventory.confirm(pair.name)
        self._inventory.ended(pair.name)
        return StorageBaseline(
            source=pair.source,
            target=pair.target,
            both=counts["both"],
            target_only=counts["target_only"],
            source_own=counts["source_own"],
            different=counts["different"],
        )

    def _seen(self, pair: Pair, found: Finding) -> tuple[Finding, str, Known | None]:
        """What is remembered of one key. What is not known to be equal has to be copied yet."""
        source, target = found.source, found.target
        if target is None:
            if source is None or found.proved_by_marker or found.known_to_have_been:
                return found, "deleted", None  # known for a delete already: not the source's own
            return found, "source_own", Known(None, source.etag)
        if source is None:
            return found, "target_only", Known(target.etag, None)
        try:
            equal = self._comparer.compared(pair, source, target).equal
        except ObjectChangedError:
            equal = False
        if equal:
            return found, "both", Known(target.etag, source.etag)
        return found, "different", self._not_equal(found)

    def _not_equal(self, found: Finding) -> Known | None:
        """The source's version is the one that was there, and the target's is to replace it."""
        source = found.source
        return None if source is None else Known("", source.etag)
