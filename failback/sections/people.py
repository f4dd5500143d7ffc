"""Who decides."""

from pydantic import Field, field_validator

from failback.sections.base import Section


class LevelApprovalsConfig(Section):
    """Who must say yes before one level may act."""

    quorum: int | None = Field(default=None, ge=0)
    """How many different people must approve; 0 acts at once. Left out: 0 for level 1, else 1."""
    roles: tuple[str, ...] = ()
    """Roles that may approve; empty accepts every known role."""
    expires_seconds: float = Field(default=3600.0, gt=0)


class ApprovalsConfig(Section):
    """Who may decide, by level."""

    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    levels: dict[int, LevelApprovalsConfig] = Field(default_factory=dict)

    @field_validator("levels")
    @classmethod
    def _levels_exist(
        cls, levels: dict[int, LevelApprovalsConfig]
    ) -> dict[int, LevelApprovalsConfig]:
        for level in levels:
            if level not in (1, 2, 3, 4):
                raise ValueError(f"level {level} does not exist: levels are 1, 2, 3 and 4")
        return levels
