"""Passes over one pair of buckets, until one finds nothing left to do."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

from failback.errors import SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.storage import BucketSync, ObjectFate, ObjectNote
from failback.object_sync.carrying import Carried, Carrier
from failback.object_sync.inventory import Inventory
from failback.object_sync.judging import Action, Finding, judged
from failback.object_sync.pairs import Pair
from failback.object_sync.working import as_done, as_they_come
from failback.ports import Progress
from failback.sections.storage import StorageConfig
from failback.storage_ports import ObjectEndpoint

_CHUNK = 500
_EXAMPLES = 100
_PROGRESS_PAGES = 20
_NEVER_MANY = 10
"""So few deletes need nobody's word."""
_DONE_BY_WORK = (Action.COPY, Action.COMPARE, Action.COMPARE_ONLY, Action.DELETE)
_LEFT = {
    Action.CONFLICT: (
        ObjectFate.CONFLICT,
        "The target deleted it, and the source's object was written since.",
    ),
    Action.UNEXPLAINED: (
        ObjectFate.UNEXPLAINED,
        "Only the source has it, and nothing shows that the target ever had.",
    ),
}
_TO_DO_AGAIN = (ObjectFate.GONE, ObjectFate.CHANGED)


class BucketSyncer:
    """Syncs one pair of buckets.

    Args:
        pair: the buckets.
        inventory: what is known of them.
        carrier: carries one object.
        config: limits.
        source: the source's endpoint.
        target: the target's endpoint.
        target_wins: as for `judged`.
        deletes_accepted: whether any number of deletes is wanted.
        settle: whether passes follow until one finds nothing to do.
    """

    def __init__(
        self,
        pair: Pair,
        inventory: Inventory,
        carrier: Carrier,
        config: StorageConfig,
        *,
        source: ObjectEndpoint,
        target: ObjectEndpoint,
        target_wins: bool,
        deletes_accepted: bool,
        settle: bool,
    ) -> None:
        self._pair = pair
        self._inventory = inventory
        self._carrier = carrier
        self._config = config
        self._source = source
        self._target = target
        self._target_wins = target_wins
        self._deletes_accepted = deletes_accepted
        self._settle = settle
        self._total: Counter[str] = Counter()
        self._notes: dict[str, ObjectNote] = {}

    def run(self, progress: Progress) -> tuple[BucketSync, list[ObjectNote]]:
        """Pass after pass; the last one's listings are the proof that nothing was left.

        Returns:
            What was done, and examples of what a person should know of.

        Raises:
            SafetyRuleError: more would be deleted than the configuration allows.
        """
        last: Counter[ObjectFate] = Counter()
        passes = 0
        for passes in range(1, (self._config.passes if self._settle else 1) + 1):  # noqa: B007 - told in the report
            last = self._pass(progress)
            moved = last[ObjectFate.COPIED] + last[ObjectFate.DELETED]
            if moved + sum(last[fate] for fate in _TO_DO_AGAIN) == 0:
                break
        self._inventory.ended(self._pair.name)
        unsettled = sum(last[fate] for fate in _TO_DO_AGAIN)
        moved = last[ObjectFate.COPIED] + last[ObjectFate.DELETED]
        failed = last[ObjectFate.FAILED]
        open_ends = last[ObjectFate.CONFLICT] + last[ObjectFate.UNEXPLAINED]
        if self._settle:
            open_ends += unsettled + moved
        report = BucketSync(
            source=self._pair.source,
            target=self._pair.target,
            outcome=Outcome.FAILED
            if failed
            else (Outcome.INCONCLUSIVE if open_ends else Outcome.SUCCEEDED),
            passes=passes,
            seen=self._inventory.seen(),
            copied=self._total["copied"],
            copied_bytes=self._total["bytes"],
            deleted=self._total["deleted"],
            looked_at=self._total["equal"],
            unsettled=unsettled,
            conflicts=last[ObjectFate.CONFLICT],
            unexplained=last[ObjectFate.UNEXPLAINED],
            failed=failed,
        )
        return report, list(self._notes.values())

    def _pass(self, progress: Progress) -> Counter[ObjectFate]:
        """List both sides, decide about every key, and do it."""
        self._notes.clear()
        fates: Counter[ObjectFate] = Counter()
        list_both(self._inventory, self._pair, self._source, self._target, progress)
        plan(
            self._inventory,
            self._pair,
            self._target,
            unproven=None if self._deletes_accepted else self._deletes_allowed(),
        )
        self._decide(fates)
        self._inventory.intend(self._pair.name)
        done = as_done(
            self._work(),
            lambda one: self._carrier.carry(*one),
            self._config.parallel,
            lambda: progress(f"{self._pair.target}: waiting for an object"),
        )
        while chunk := list(islice(done, self._config.parallel * 4)):
            self._record(chunk, fates)
            progress(
                f"{self._pair.target}: {self._total['copied']} copied,"
                f" {self._total['deleted']} deleted, {self._total['equal']} looked at"
            )
        self._inventory.confirm(self._pair.name)
        return fates

    def _decide(self, fates: Counter[ObjectFate]) -> None:
        deletes = 0
        findings = self._inventory.findings()
        while chunk := list(islice(findings, _CHUNK)):
            decided = [(found, judged(found, target_wins=self._target_wins)) for found in chunk]
            self._inventory.decide((found.key, action) for found, action in decided)
            for found, action in decided:
                deletes += action is Action.DELETE and not found.proved_by_marker
                if action in _LEFT:
                    fate, explanation = _LEFT[action]
                    fates[fate] += 1
                    self._note(found.key, fate, explanation)
        allowed = self._deletes_allowed()
        if deletes > allowed and not self._deletes_accepted:
            known = self._inventory.known(self._pair.name)
            raise SafetyRuleError(
                f"Rule no-mass-delete: {deletes} of {known} objects that {self._pair.target} was"
                f" known to have are gone there, more than the {allowed} that"
                " storage.max_deleted_share allows; none was deleted.",
                "Check the target's bucket and credentials; if the deletes are wanted, repeat"
                " with --accept-deletes YOUR-NAME.",
            )

    def _deletes_allowed(self) -> int:
        """How many deletes need nobody's word, where only the listing shows them."""
        known = self._inventory.known(self._pair.name)
        return max(_NEVER_MANY, int(known * self._config.max_deleted_share))

    def _work(self) -> Iterator[tuple[Finding, Action]]:
        for action in _DONE_BY_WORK:
            for found in self._inventory.findings(action):
                yield found, action

    def _record(self, chunk: list[Carried], fates: Counter[ObjectFate]) -> None:
        known, over = [], []
        for one in chunk:
            fates[one.fate] += 1
            self._total[one.fate.value] += 1
            self._total["bytes"] += one.bytes
            if one.known is not None or one.fate is ObjectFate.DELETED:
                known.append((one.found, one.known))
            else:
                over.append(one.found.key)
                self._note(one.found.key, one.fate, one.explanation)
        self._inventory.record(self._pair.name, known)
        self._inventory.settle(self._pair.name, over)

    def _note(self, key: str, fate: ObjectFate, explanation: str) -> None:
        if len(self._notes) < _EXAMPLES:
            self._notes[key] = ObjectNote(
                bucket=self._pair.target, key=key, fate=fate, explanation=explanation
            )


def list_both(
    inventory: Inventory,
    pair: Pair,
    source: ObjectEndpoint,
    target: ObjectEndpoint,
    progress: Progress,
) -> None:
    """Take in the listings of both sides, read at the same time."""
    progress(f"{pair.target}: listing both sides")
    inventory.forget_listings()
    take = {Side.SOURCE: inventory.see_source, Side.TARGET: inventory.see_target}
    pages = as_they_come(
        {
            Side.SOURCE: source.listed(pair.source, pair.prefix),
            Side.TARGET: target.listed(pair.target, pair.prefix),
        },
        lambda: progress(f"{pair.target}: waiting for a page of a listing"),
    )
    with closing(pages):
        for number, (side, page) in enumerate(pages, 1):
            take[side](page)
            if number % _PROGRESS_PAGES == 0:
                progress(f"{pair.target}: {number} pages of both listings read")


def plan(
    inventory: Inventory,
    pair: Pair,
    target: ObjectEndpoint,
    *,
    strict: bool = False,
    unproven: int | None = 0,
) -> None:
    """Plan what the listings do not show to be in order.

    A bucket's versions take as long to list as all that was ever in it, so they are asked only
    where something hangs on them: whether the target had a key, or how many deletes it proves.

    Args:
        inventory: has the listings.
        pair: the buckets.
        target: the target's endpoint.
        strict: as for `Inventory.plan`.
        unproven: so many keys may be missing on the target without its versions being asked, if
            the inventory knows that it had them; None: any number.
    """
    inventory.plan(pair.name, changed=True, strict=strict)
    missing, unknown = inventory.source_only()
    if unknown or (unproven is not None and missing > unproven):
        inventory.see_deleted(target.deleted(pair.target, pair.prefix))
        inventory.plan(pair.name, changed=True, strict=strict)
