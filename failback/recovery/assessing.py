"""Puts an assessment together: every part, what it can be restored from, and what that costs."""

from contextlib import closing
from datetime import UTC, datetime

from failback.errors import FailbackError
from failback.models.backups import BackupManifest
from failback.models.common import Service, Side
from failback.models.recovery import (
    ArchiveState,
    Assessment,
    BackupChoice,
    Part,
)
from failback.ports import Progress
from failback.recovery.assess_database import look_at_database
from failback.recovery.assess_others import look_at_auth, look_at_functions, look_at_storage
from failback.recovery.choosing import choose
from failback.recovery.findings import assessed
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.waiting import Loop
from failback.reverse_sync.connections import Servers

_REPLAYED_A_SECOND = 5_000
"""Keys of the archive; only for an estimate."""
_RESTORED_A_SECOND = 10 * 2**20
"""Bytes of a dump where no proof says how long it took."""


def assess(settings: RecoverySettings, hands: Hands, loop: Loop, progress: Progress) -> Assessment:
    """Look at everything; what cannot be looked at is a finding."""
    choice, manifest, proved_seconds = _chosen(hands)
    progress("Looking at the balancer and the target.")
    target_answers = _target_answers(settings)
    archive = _archived(hands, choice.backup)
    database = look_at_database(
        settings, hands.vault, manifest, _balancer_sees(settings, hands, loop), progress
    )
    buckets = (settings.buckets, hands.source_objects, manifest)
    parts = (
        assessed(Part.DATABASE, database.findings),
        assessed(Part.AUTH, look_at_auth(database, manifest, hands.auth)),
        assessed(Part.STORAGE, look_at_storage(*buckets, progress)),
        assessed(
            Part.FUNCTIONS,
            look_at_functions(
                hands.functions, loop, database_is_sound=database.is_sound, progress=progress
            ),
        ),
    )
    return Assessment(
        at=datetime.now(UTC),
        parts=parts,
        choice=choice,
        archive=archive,
        target_answers=target_answers,
        loss_seconds=_loss(choice, archive, target_answers=target_answers),
        restore_seconds=_seconds(choice, archive, proved_seconds),
    )


def _chosen(hands: Hands) -> tuple[BackupChoice, BackupManifest | None, float]:
    try:
        choice = choose(hands.vault)
        if not choice.backup:
            return choice, None, 0.0
        manifest, proof = hands.vault.checked(choice.backup)
    except FailbackError as error:
        return BackupChoice(detail=f"The backups cannot be looked at: {error}"), None, 0.0
    return choice, manifest, 0.0 if proof is None else proof.seconds


def _archived(hands: Hands, backup: str) -> ArchiveState:
    if hands.archive is None:
        return ArchiveState(detail="no change archive is configured")
    try:
        return hands.archive.state(backup)
    except FailbackError as error:
        return ArchiveState(detail=error.cause)


def _target_answers(settings: RecoverySettings) -> bool:
    servers = Servers(settings.source_dsn, settings.target_dsn, settings.connect_timeout_seconds)
    try:
        with closing(servers.connect(Side.TARGET, autocommit=True)) as session:
            session.execute("SELECT 1")
    except FailbackError:
        return False
    return True


def _balancer_sees(settings: RecoverySettings, hands: Hands, loop: Loop) -> bool | None:
    """Whether the balancer sees the source's database up; None where it cannot say."""
    doors = {door.backend for door in settings.doors}
    routes = [
        route for route in settings.routes.get(Service.DATABASE, ()) if route.backend in doors
    ]
    if not routes:
        return None
    try:
        pairs = loop.run(hands.balancer.read_all_weights(routes))
    except FailbackError:
        return None
    return all(source.up for source, _ in pairs)


def _loss(choice: BackupChoice, archive: ArchiveState, *, target_answers: bool) -> float | None:
    """Seconds between what can be restored and what was acknowledged, at most."""
    if not choice.backup:
        return None
    now = datetime.now(UTC)
    if archive.joins_backup and archive.last_commit_at is not None:
        # While the target answers, the rest is archived once it is fenced.
        return 0.0 if target_answers else max(0.0, (now - archive.last_commit_at).total_seconds())
    if choice.taken_at is None:
        return None
    return max(0.0, (now - choice.taken_at).total_seconds())


def _seconds(choice: BackupChoice, archive: ArchiveState, proved_seconds: float) -> float | None:
    if not choice.backup:
        return None
    restoring = proved_seconds or choice.bytes / _RESTORED_A_SECOND
    return restoring + archive.keys / _REPLAYED_A_SECOND
