"""Questions about backups: whether a recovery would have one to take, and how old it is."""

from datetime import UTC, datetime, timedelta

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.models.backups import BackupList, BackupState, BackupSummary
from failback.providers.backup import open_backups

_QUESTION = "a backup is proven"
_HOURS = 48.0
"""From here on an age is told in days."""


def examine_backups(estate: Estate) -> list[Finding]:
    """Look for the newest proven backup. Rollbacks of levels 1 to 3 need none.

    What was never restored is unknown to hold, and so is the answer then.
    """
    part = Part("backup")
    if estate.backup is None:
        part.say(
            _QUESTION,
            None,
            "no backups are configured: a lost source could not be recovered (level 4)",
            "Say under backup where they are kept (docs/backups.md).",
        )
        return part.findings
    backups = open_backups(estate)
    try:
        listed = backups.list()
    finally:
        backups.close()
    _newest_proven(part, listed, timedelta(hours=estate.backup.max_age_hours))
    newest = next((one for one in listed.backups if one.ours), None)
    if newest is not None and newest.state is BackupState.BROKEN:
        part.say(
            "the newest backup holds",
            False,
            f"{newest.id}: {newest.problem}",
            "Take another one: failback backup now; then failback backup prove.",
        )
    elif newest is not None and newest.lacking:
        part.say("the newest backup is whole", None, "; ".join(newest.lacking), "See each cause.")
    return part.findings


def _newest_proven(part: Part, listed: BackupList, longest: timedelta) -> None:
    proven = listed.newest_proven
    if proven is None:
        waiting = any(one.state is BackupState.COMPLETE for one in listed.backups)
        part.say(
            _QUESTION,
            None,
            "none is" if listed.backups else f"there is none in {listed.place}",
            "Run failback backup prove."
            if waiting
            else "Run failback backup now, then failback backup prove.",
        )
        return
    age = datetime.now(UTC) - (proven.taken_at or datetime.now(UTC))
    fresh = age <= longest
    newer = [one for one in listed.backups if one.id > proven.id]
    part.say(
        _QUESTION,
        True if fresh else None,
        f"{proven.id} was taken {_told(age)} ago and restored {_restored(proven)}",
        "Run failback backup prove: there are newer ones."
        if any(one.state is BackupState.COMPLETE for one in newer)
        else "Run failback backup now, then failback backup prove; or let a schedule do it:"
        " failback backup schedule --every 6h --take --keep 14.",
    )


def _restored(proven: BackupSummary) -> str:
    at = "" if proven.proven_at is None else f" at {proven.proven_at:%F %T} UTC"
    return f"by {proven.proven_by}{at}" if proven.proven_by else f"for a trial{at}"


def _told(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours:.1f} h" if hours < _HOURS else f"{hours / 24:.1f} d"
