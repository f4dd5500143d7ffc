"""Which audit log an estate has: a table, a file, or the default file of its machine."""

import os
from pathlib import Path

from failback.ports import AuditLog
from failback.providers.audit.file import FileAuditLog
from failback.providers.audit.postgres import PostgresAuditLog
from failback.sections.audit import AuditConfig


def open_audit_log(estate: str, config: AuditConfig) -> AuditLog:
    """The log of an estate. Nothing is connected to yet."""
    if config.dsn is not None:
        return PostgresAuditLog(config.dsn.get_secret_value(), estate)
    return FileAuditLog(config.file or default_file(estate))


def default_file(estate: str) -> Path:
    """Where the log lies when nobody has said so: with the state of the user's programs."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "failback" / estate / "audit.sqlite3"
