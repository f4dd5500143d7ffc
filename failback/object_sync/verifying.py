"""Compares both sides object by object. The inventory only explains what one side has alone."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from failback.errors import ObjectChangedError
from failback.models.common import Outcome
from failback.models.storage import (
    BucketComparison,
    DifferenceKind,
    ObjectDifference,
    ObjectEntry,
    ObjectHead,
)
from failback.object_sync.comparing import Compared
from failback.object_sync.examining import Examiner
from failback.object_sync.judging import Action, Finding, judged
from failback.object_sync.pairs import Pair
from failback.object_sync.passes import list_both, plan
from failback.object_sync.working import in_order
from failback.ports import Progress

_EXAMPLES = 100
_PROGRESS_EVERY = 500
_SHOWN = {
    "content_type": "content type",
    "cache_control": "cache control",
    "content_disposition": "content disposition",
    "content_encoding": "content encoding",
    "content_language": "content language",
    "metadata": "metadata",
}


@dataclass(frozen=True)
class _Judgement:
    """One key, compared. No kind: nothing differs."""

    key: str
    kind: DifferenceKind | None = None
    explanation: str = ""
    own: bool = False
    size: int = 0
    on_target: bool = False
    source: tuple[str, object] | None = None
    """Content and description of the source's object."""
    target: tuple[str, object] | None = None


class Verifier(Examiner):
    """Compares pairs of buckets; see `Examiner` for what it is given."""

    def compared(
        self, pair: Pair, progress: Progress, *, read_all: bool, quick: bool
    ) -> tuple[BucketComparison, list[ObjectDifference]]:
        """Compare one pair of buckets.

        Args:
            pair: the buckets.
            progress: told of long work.
            read_all: read every byte.
            quick: leave out what both listings show to be as it was when last equal; then there
                are no digests.

        Returns:
            Counts with the digest of each side, and examples of differences by key.
        """
        findings = self._changed(pair, progress) if quick else self._findings(pair, progress)
        left_out = self._inventory.left_out()
        digests = (hashlib.sha256(), hashlib.sha256())
        counts: Counter[str] = Counter()
        differences: list[ObjectDifference] = []
        judgements = in_order(
            findings,
            lambda found: self._judged(pair, found, read_all=read_all),
            self._parallel,
            lambda: progress(f"{pair.target}: waiting for an object"),
        )
        for number, one in enumerate(judgements, 1):
            for digest, side in zip(digests, (one.source, one.target), strict=True):
                if side is not None:
                    digest.update(repr((one.key, *side)).encode())
            counts["own"] += one.own
            counts["objects"] += one.on_target
            counts["bytes"] += one.size
            if one.kind is not None:
                counts[one.kind.value] += 1
                if len(differences) < _EXAMPLES:
                    differences.append(
                        ObjectDifference(
                            bucket=pair.target,
                            key=one.key,
                            kind=one.kind,
                            explanation=one.explanation,
                        )
                    )
            if number % _PROGRESS_EVERY == 0:
                progress(f"{pair.target}: {number} objects compared")
        different = counts[DifferenceKind.CONTENT.value] + counts[DifferenceKind.METADATA.value]
        wrong = (
            different + counts[DifferenceKind.MISSING.value] + counts[DifferenceKind.EXTRA.value]
        )
        unknown = counts[DifferenceKind.UNEXPLAINED.value] + counts[DifferenceKind.CHANGED.value]
        report = BucketComparison(
            source=pair.source,
            target=pair.target,
            outcome=Outcome.FAILED
            if wrong
            else (Outcome.INCONCLUSIVE if unknown else Outcome.SUCCEEDED),
            objects=counts["objects"] + left_out[0],
            bytes=counts["bytes"] + left_out[1],
            by_listing=left_out[0],
            source_digest="" if quick else digests[0].hexdigest(),
            target_digest="" if quick else digests[1].hexdigest(),
            missing=counts[DifferenceKind.MISSING.value],
            extra=counts[DifferenceKind.EXTRA.value],
            unexplained=counts[DifferenceKind.UNEXPLAINED.value],
            different=different,
            changed=counts[DifferenceKind.CHANGED.value],
            own=counts["own"],
        )
        return report, differences

    def _changed(self, pair: Pair, progress: Progress) -> Iterator[Finding]:
        """What the listings do not show to be as it was when both sides were last equal."""
        list_both(self._inventory, pair, self._source, self._target, progress)
        plan(self._inventory, pair, self._target, strict=True, unproven=None)
        return self._inventory.findings()

    def _judged(self, pair: Pair, found: Finding, *, read_all: bool) -> _Judgement:
        source, target = found.source, found.target
        if target is None:
            return self._source_only(found)
        if source is None:
            return _Judgement(
                found.key,
                DifferenceKind.MISSING,
                "Only the target has it.",
                size=target.size,
                on_target=True,
                target=(target.etag, ""),
            )
        return self._both(pair, source, target, "always" if read_all else "if_unequal")

    def _both(self, pair: Pair, source: ObjectEntry, target: ObjectEntry, read: str) -> _Judgement:
        try:
            seen = self._comparer.compared(pair, source, target, read=read)
        except ObjectChangedError as error:
            return _Judgement(
                target.key, DifferenceKind.CHANGED, error.cause, size=target.size, on_target=True
            )
        kind, explanation = _difference(seen)
        return _Judgement(
            target.key,
            kind,
            explanation,
            size=target.size,
            on_target=True,
            source=(seen.source_content, seen.source_head.described),
            target=(seen.target_content, seen.target_head.described),
        )

    def _source_only(self, found: Finding) -> _Judgement:
        """The same judgement as a sync's: what it would delete should be gone."""
        action = judged(found)
        if action is Action.OWN:
            return _Judgement(found.key, own=True)
        content = (found.source.etag if found.source else "", "")
        if action is Action.UNEXPLAINED:
            return _Judgement(
                found.key,
                DifferenceKind.UNEXPLAINED,
                "Only the source has it, and nothing shows that the target ever had.",
                source=content,
            )
        return _Judgement(
            found.key,
            DifferenceKind.EXTRA,
            "The target deleted it, and the source still has it.",
            source=content,
        )


def _difference(seen: Compared) -> tuple[DifferenceKind | None, str]:
    if not seen.content:
        sizes = f"{seen.source_head.size} and {seen.target_head.size} bytes"
        return DifferenceKind.CONTENT, f"{sizes} on source and target; the content differs."
    if not seen.described:
        named = _named(seen.source_head, seen.target_head)
        return DifferenceKind.METADATA, f"Different: {', '.join(named)}."
    return None, ""


def _named(source: ObjectHead, target: ObjectHead) -> list[str]:
    """Which descriptions differ. Their values may be the product's secrets."""
    return [text for name, text in _SHOWN.items() if getattr(source, name) != getattr(target, name)]
