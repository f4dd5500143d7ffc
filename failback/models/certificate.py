"""What a certificate says: both sides held the same rows while neither took writes."""

from datetime import datetime

from failback.models.common import Payload
from failback.models.sync import VerifyReport

VERSION = 1


class CertifiedTable(Payload):
    """One table, equal on both sides."""

    table: str
    rows: int
    source_digest: str
    target_digest: str
    missing: int = 0
    extra: int = 0
    different: int = 0


class Window(Payload):
    """When both fences were seen to be up. They were up before `start` and after `end`."""

    start: datetime
    end: datetime


class Certificate(Payload):
    """The facts that are signed."""

    kind: str = "failback certificate"
    version: int = VERSION
    estate: str
    rollback_id: str
    issued_at: datetime
    software: str
    """`failback` with its version."""
    fenced: Window
    position: str = ""
    """Of the target's log, up to which the source had applied everything."""
    tables: tuple[CertifiedTable, ...]
    rows: int
    """Over all tables."""
    missing: int = 0
    extra: int = 0
    different: int = 0
    chunks_verified: int = 0
    """Parts of tables that were read on both sides within the window."""
    chunks_by_ledger: int = 0
    """Parts that both sides agreed on earlier and that no captured change has touched since."""
    ledger_oldest_at: datetime | None = None
    """When the part that was read longest ago was; None where all were read in the window."""
    rules: tuple[str, ...] = ()
    """Business rules and foreign keys that held on the source."""


class Attestation(Payload):
    """Where a certificate is, and what came of it."""

    path: str = ""
    """The file; empty where none was written."""
    detail: str = ""
    """Why none was written."""


class CertificateCheck(Payload):
    """What checking a file said."""

    valid: bool
    problem: str = ""
    key: str = ""
    """Fingerprint of the key that signed it."""
    certificate: Certificate | None = None
    """What it says; only of a file that is valid."""


def certified(
    report: VerifyReport, *, estate: str, rollback_id: str, issued_at: datetime, software: str
) -> Certificate:
    """The facts of a verification as a certificate says them.

    Raises:
        ValueError: the verification was not exact, or did not succeed: there is nothing to sign.
    """
    if not report.exact or report.outcome != "succeeded" or report.ended_at is None:
        raise ValueError("only an exact verification that succeeded can be certified")
    return Certificate(
        estate=estate,
        rollback_id=rollback_id,
        issued_at=issued_at,
        software=software,
        fenced=Window(start=report.started_at, end=report.ended_at),
        position=report.position,
        tables=tuple(
            CertifiedTable(
                table=table.table,
                rows=table.source_rows,
                source_digest=table.source_digest,
                target_digest=table.target_digest,
            )
            for table in report.tables
        ),
        rows=sum(table.source_rows for table in report.tables),
        chunks_verified=report.chunks_verified,
        chunks_by_ledger=report.chunks_by_ledger,
        ledger_oldest_at=report.ledger_oldest_at,
        rules=tuple(rule.name for rule in (*report.rules, *report.foreign_keys)),
    )
