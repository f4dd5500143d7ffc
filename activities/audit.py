"""Writes what workflows report into the audit log."""

from temporalio import activity

from activities.failures import as_application_error
from failback.errors import FailbackError
from failback.models.audit import RecordReport, RecordRequest
from failback.ports import AuditLog


class AuditActivities:
    """Appends to the audit log.

    Args:
        audit: the estate's log; None on ports that only say what they would do.
    """

    def __init__(self, audit: AuditLog | None) -> None:
        self._audit = audit

    @activity.defn
    async def record(self, request: RecordRequest) -> RecordReport:
        """Append entries in the order given; those that stand there already stay as they are.

        Every failure is tried again: a wrong password is mended by a person, and what was to be
        written must still be there then.
        """
        if self._audit is None:
            return RecordReport()
        try:
            written = await self._audit.append_all(request.entries)
        except FailbackError as error:
            raise as_application_error(error, retried=True) from error
        return RecordReport(
            entries=len(written), last_sequence=written[-1].sequence if written else 0
        )
