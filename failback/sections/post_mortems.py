"""Where post-mortems are written, and when people are reminded of them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from failback.sections.base import Section

Hours = Annotated[float, Field(gt=0)]


class PostMortemsConfig(Section):
    """One document for each rollback, until a person has marked it complete."""

    directory: Path | None = None
    """Where the documents are; left out, below the user's state folder."""
    due_hours: Hours = 24.0
    """A post-mortem is complete in time within so long of the rollback's end."""
    remind_after_hours: tuple[Hours, ...] = (4.0, 12.0, 20.0, 24.0)
    """When people are reminded, from the rollback's end."""
    remind_every_hours: Hours = 24.0
    """After the last of those they are reminded this often."""

    @field_validator("remind_after_hours")
    @classmethod
    def _in_order(cls, hours: tuple[float, ...]) -> tuple[float, ...]:
        if list(hours) != sorted(set(hours)):
            raise ValueError("remind_after_hours must rise")
        return hours
