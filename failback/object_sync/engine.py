"""The storage sync of an estate: status, baseline, sync, verify."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from failback.models.common import Outcome
from failback.models.storage import (
    BucketState,
    OpenUpload,
    StorageBaseline,
    StorageBaselineReport,
    StorageStatus,
    StorageSyncReport,
    StorageVerifyReport,
)
from failback.object_sync.baseline import Recorder
from failback.object_sync.carrying import Carrier
from failback.object_sync.inventory import Inventory, Uploads
from failback.object_sync.pairs import Pair
from failback.object_sync.passes import BucketSyncer
from failback.object_sync.verifying import Verifier
from failback.ports import Progress
from failback.sections.storage import StorageConfig
from failback.storage_ports import ObjectEndpoint

_MIB = 1024 * 1024


class ObjectSync:
    """Implements `StorageSyncEngine`.

    Args:
        estate: its name.
        config: buckets and limits.
        source: the source's endpoint.
        target: the target's endpoint.
        inventory: the inventory's file.
        part_bytes: larger objects go in parts; None takes what the configuration says.
    """

    def __init__(
        self,
        estate: str,
        config: StorageConfig,
        *,
        source: ObjectEndpoint,
        target: ObjectEndpoint,
        inventory: Path,
        part_bytes: int | None = None,
    ) -> None:
        self._estate = estate
        self._config = config
        self._source = source
        self._target = target
        self._inventory = inventory
        self._part_bytes = part_bytes or config.part_mb * _MIB
        self._pairs = tuple(Pair.of(bucket, source, target) for bucket in config.buckets)

    def status(self, *, probe: bool = True) -> StorageStatus:
        """See `StorageSyncEngine.status`.

        Args:
            probe: whether to try conditional writes on the source, with a nameless object.
        """
        with self._opened() as inventory:
            recorded = [inventory.recorded_at(pair.name) for pair in self._pairs]
            known = sum(inventory.known(pair.name) for pair in self._pairs)
        states = []
        for pair, at in zip(self._pairs, recorded, strict=True):
            states.append(self._source_state(pair, probe=probe))
            states.append(self._target_state(pair, recorded=at is not None))
        lost = any(not state.exists for state in states)
        blind = any(state.problem for state in states)
        ended = [at for at in recorded if at is not None]
        return StorageStatus(
            estate=self._estate,
            outcome=Outcome.FAILED
            if lost
            else (Outcome.INCONCLUSIVE if blind else Outcome.SUCCEEDED),
            buckets=tuple(states),
            known_objects=known,
            recorded_at=min(ended) if len(ended) == len(recorded) else None,
        )

    def _source_state(self, pair: Pair, *, probe: bool) -> BucketState:
        state = self._source.state(pair.source)
        if not state.exists:
            return state
        conditions = probe and self._source.honours_conditions(pair.source)
        problem, cure = "", ""
        if not state.versioned:
            problem = f"The source's bucket {pair.source} keeps no versions: a delete is final."
            cure = "Switch versioning on, where the endpoint has it."
        return state.model_copy(
            update={"conditional_writes": conditions, "problem": problem, "cure": cure}
        )

    def _target_state(self, pair: Pair, *, recorded: bool) -> BucketState:
        state = self._target.state(pair.target)
        if not state.exists or state.versioned or recorded:
            return state
        return state.model_copy(
            update={
                "problem": f"The target's bucket {pair.target} keeps no versions and has no"
                " baseline: what was deleted there cannot be told from what it never had.",
                "cure": "Run `failback storage baseline` while both sides are equal, or switch"
                " versioning on.",
            }
        )

    def baseline(
        self, progress: Progress | None = None, *, missing_only: bool = False
    ) -> StorageBaselineReport:
        """See `StorageSyncEngine.baseline`.

        Args:
            progress: told of long work; may raise to stop it.
            missing_only: leave out buckets that a baseline or a sync has recorded.
        """
        began = time.monotonic()
        with self._opened() as inventory:
            recorder = Recorder(
                inventory, self._source, self._target, self._part_bytes, self._config.parallel
            )
            found: list[StorageBaseline] = [
                recorder.recorded(pair, progress or _silent)
                for pair in self._pairs
                if not (missing_only and inventory.recorded_at(pair.name))
            ]
        return StorageBaselineReport(buckets=tuple(found), seconds=time.monotonic() - began)

    def sync(
        self,
        progress: Progress | None = None,
        *,
        target_wins: bool = False,
        deletes_accepted_by: str = "",
        settle: bool = True,
    ) -> StorageSyncReport:
        """See `StorageSyncEngine.sync`."""
        began = time.monotonic()
        reports, notes = [], []
        stop = threading.Event()
        told = _stopping(progress or _silent, stop)
        with (
            self._opened() as inventory,
            closing(Uploads(self._inventory)) as uploads,
            ThreadPoolExecutor(self._config.parallel) as parts,
        ):
            for pair in self._pairs:
                carrier = Carrier(
                    pair,
                    source=self._source,
                    target=self._target,
                    uploads=uploads,
                    part_bytes=self._part_bytes,
                    parts=parts,
                    stop=stop,
                )
                syncer = BucketSyncer(
                    pair,
                    inventory,
                    carrier,
                    self._config,
                    source=self._source,
                    target=self._target,
                    target_wins=target_wins,
                    deletes_accepted=bool(deletes_accepted_by),
                    settle=settle,
                )
                report, examples = syncer.run(told)
                reports.append(report)
                notes.extend(examples)
                for key, upload in uploads.all(pair.name):
                    self._source.abandon_upload(OpenUpload(bucket=pair.source, key=key, id=upload))
                    uploads.forget(pair.name, key)
        return StorageSyncReport(
            outcome=_worst([report.outcome for report in reports]),
            buckets=tuple(reports),
            notes=tuple(notes),
            deletes_accepted_by=deletes_accepted_by,
            seconds=time.monotonic() - began,
        )

    def verify(
        self,
        progress: Progress | None = None,
        *,
        read_all: bool = False,
        quick: bool = False,
    ) -> StorageVerifyReport:
        """See `StorageSyncEngine.verify`."""
        began = time.monotonic()
        reports, differences = [], []
        with self._opened() as inventory:
            verifier = Verifier(
                inventory, self._source, self._target, self._part_bytes, self._config.parallel
            )
            for pair in self._pairs:
                report, examples = verifier.compared(
                    pair, progress or _silent, read_all=read_all, quick=quick and not read_all
                )
                reports.append(report)
                differences.extend(examples)
        return StorageVerifyReport(
            outcome=_worst([report.outcome for report in reports]),
            buckets=tuple(reports),
            differences=tuple(differences),
            seconds=time.monotonic() - began,
        )

    def close(self) -> None:
        """See `StorageSyncEngine.close`."""
        for endpoint in (self._source, self._target):
            endpoint.close()

    @contextmanager
    def _opened(self) -> Iterator[Inventory]:
        inventory = Inventory(self._inventory)
        try:
            yield inventory
        finally:
            inventory.close()


def _silent(_: str) -> None:
    """Progress that nobody wants."""


def _stopping(progress: Progress, stop: threading.Event) -> Progress:
    """The same progress, which tells threads at work when it raises."""

    def told(sentence: str) -> None:
        try:
            progress(sentence)
        except BaseException:
            stop.set()
            raise

    return told


def _worst(outcomes: list[Outcome]) -> Outcome:
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.SUCCEEDED
