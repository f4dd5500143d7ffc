"""Names under which workflows are found: one rollback per estate at a time."""

import secrets
from datetime import UTC, datetime


def rollback_workflow(estate: str) -> str:
    """The workflow id that makes a second rollback of an estate impossible."""
    return f"rollback/{estate}"


def reverse_sync_workflow(estate: str) -> str:
    """The workflow id of an estate's continuous reverse sync."""
    return f"reverse-sync/{estate}"


def archiving_workflow(estate: str) -> str:
    """The workflow id of an estate's change archive."""
    return f"archive/{estate}"


def notification_workflow(estate: str, key: str) -> str:
    """The workflow id under which one message is delivered, once."""
    return f"notify/{estate}/{key}"


def post_mortem_workflow(rollback_id: str) -> str:
    """The workflow id that sees one rollback's post-mortem through."""
    return f"post-mortem/{rollback_id}"


def alert_response_workflow(estate: str) -> str:
    """The workflow id of the one workflow that answers an estate's alerts."""
    return f"alerts/{estate}"


def backup_proof_schedule(estate: str) -> str:
    """The id of the schedule that proves an estate's backups, and of the runs it starts."""
    return f"backup-proof/{estate}"


def new_rollback_id(level: int) -> str:
    """A sortable id for one rollback, such as `rb1-20260301T031502-9f3a`."""
    return rollback_id(level, datetime.now(UTC), secrets.token_hex(2))


def rollback_id(level: int, at: datetime, suffix: str) -> str:
    """The same from a time and a random suffix that the caller has, as workflows do."""
    return f"rb{level}-{at.astimezone(UTC):%Y%m%dT%H%M%S}-{suffix}"
