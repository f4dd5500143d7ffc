"""The audit log: a file, a table, and the fake."""

from failback.providers.audit.chain import GENESIS
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.audit.file import FileAuditLog
from failback.providers.audit.opening import default_file, open_audit_log
from failback.providers.audit.postgres import PostgresAuditLog

__all__ = [
    "GENESIS",
    "FakeAuditLog",
    "FileAuditLog",
    "PostgresAuditLog",
    "default_file",
    "open_audit_log",
]
