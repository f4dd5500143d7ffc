"""Who decides."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.sections.base import Section

LINK_KEY_LENGTH = 32


class LevelApprovalsConfig(Section):
    """Who must say yes before one level may act."""

    quorum: int | None = Field(default=None, ge=0)
    """How many different people must approve; 0 acts at once. Left out: 0 for level 1, else 1."""
    roles: tuple[str, ...] = ()
    """Roles that may approve; empty accepts every known role."""
    quorum_by_role: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """How many different people must approve in each role; each person counts in one of them."""
    expires_seconds: float = Field(default=3600.0, gt=0)
    on_expiry: Literal["reject", "proceed"] = "reject"
    """What happens without the quorum after so long."""


class ApprovalsConfig(Section):
    """Who may decide, by level."""

    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    levels: dict[int, LevelApprovalsConfig] = Field(default_factory=dict)
    require_plan_hash: bool = False
    """Whether an approval must name the plan that it is for."""
    link_key: SecretStr | None = None
    """Signs one-time approval links, at least 32 characters; left out, there are none."""
    link_seconds: float = Field(default=3600.0, gt=0)
    """After so long a link is no good any more."""

    @field_validator("link_key")
    @classmethod
    def _key_is_long(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < LINK_KEY_LENGTH:
            raise ValueError(
                f"a link_key has at least {LINK_KEY_LENGTH} characters: `openssl rand -hex 32`"
            )
        return key

    @model_validator(mode="after")
    def _roles_are_held(self) -> Self:
        held = {role for roles in self.people.values() for role in roles}
        for level, policy in self.levels.items():
            for role in policy.quorum_by_role:
                if self.people and role not in held:
                    raise ValueError(f"levels.{level}.quorum_by_role: nobody holds {role}")
        return self

    @field_validator("levels")
    @classmethod
    def _levels_exist(
        cls, levels: dict[int, LevelApprovalsConfig]
    ) -> dict[int, LevelApprovalsConfig]:
        for level in levels:
            if level not in (1, 2, 3, 4):
                raise ValueError(f"level {level} does not exist: levels are 1, 2, 3 and 4")
        return levels
