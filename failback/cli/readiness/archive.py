"""Questions about the change archive: whether a recovery could replay what a backup lacks."""

from contextlib import closing
from datetime import UTC, datetime

from failback.change_archive.opening import open_archive
from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.providers.backup import open_backups

_MISSED_INTERVALS = 6


def examine_archive(estate: Estate) -> list[Finding]:
    """Look how far behind the archive is, and whether the newest proven backup can be followed.

    Rollbacks of levels 1 to 3 need none of it.
    """
    part = Part("archive")
    config = estate.archive
    archive = open_archive(estate)
    if config is None or archive is None:
        part.say(
            "changes are archived",
            None,
            "no change archive is configured: a recovery would lose what came after the backup",
            "Add a section archive (docs/change-archive.md), then run failback arm.",
        )
        return part.findings
    with closing(archive):
        state = archive.state()
        age = None
        if state.last_commit_at is not None:
            age = (datetime.now(UTC) - state.last_commit_at).total_seconds()
        allowed = _MISSED_INTERVALS * config.interval_seconds + config.idle_seconds
        part.say(
            "changes are archived",
            None if age is None else age <= allowed,
            state.detail if age is None else f"up to {age:.0f} s ago. {state.detail}".strip(),
            "Run failback arm, and keep a worker running.",
        )
        if age is None:
            return part.findings
        with closing(open_backups(estate)) as backups:
            proven = backups.list().newest_proven
        if proven is None:
            part.skip("the newest proven backup can be followed", "no backup is proven")
            return part.findings
        try:
            beyond = archive.state(proven.id)
        except FailbackError as error:
            part.refuse("the newest proven backup can be followed", error)
            return part.findings
        part.say(
            "the newest proven backup can be followed",
            beyond.joins_backup or None,
            f"{proven.id}: {beyond.segments} segments beyond it. {beyond.detail}".strip(),
            "Take another one: failback backup now, then failback backup prove.",
        )
    return part.findings
