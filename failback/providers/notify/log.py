"""A channel that writes to the worker's own log."""

import logging

from failback.providers.notify.note import Note

_LOG = logging.getLogger("failback.providers.notify")


class LogChannel:
    """Implements `Channel`. Links are left out: a log is no place for what lets somebody act."""

    async def send(self, note: Note) -> str:
        """See `Channel.send`."""
        _LOG.warning(
            "%s: %s",
            note.subject,
            note.text,
            extra={
                "estate": note.message.estate,
                "rollback_id": note.message.rollback_id,
                "channel": note.channel,
                "subject": note.subject,
            },
        )
        return "written to the log"

    async def aclose(self) -> None:
        """See `Channel.aclose`: there is nothing to give back."""
