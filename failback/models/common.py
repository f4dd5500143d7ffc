"""Words that every other payload uses: sides, services, outcomes, and the base of payloads."""

from enum import IntEnum, StrEnum

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A frozen value that travels through Temporal.

    Payloads are only ever added to: new fields have defaults, and unknown fields are
    ignored, so that an older worker reads what a newer one wrote.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Side(StrEnum):
    """One of the two sides of a migration."""

    SOURCE = "source"
    """The Supabase project that we return to."""
    TARGET = "target"
    """The new infrastructure, live while the migration is."""

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.TARGET if self is Side.SOURCE else Side.SOURCE


class StepName(StrEnum):
    """Every step of a level that has a budget, as timelines and `budgets` name it."""

    HOLD = "hold"
    CATCH_UP = "catch_up"
    FENCE = "fence"
    SYNC_BACK = "sync_back"
    VERIFY_INTEGRITY = "verify_integrity"
    TRAFFIC_ROLLBACK = "traffic_rollback"
    LOAD_BALANCER = "load_balancer"
    OPEN_SOURCE = "open_source"
    DNS = "dns"
    VERIFY = "verify"
    FORCED_FAILOVER = "forced_failover"
    RESUME = "resume"
    NOTIFY = "notify"
    DRAIN_TAIL = "drain_tail"
    PAUSE_ACTIVITIES = "pause_activities"
    PREPARE_AUTH = "prepare_auth"
    PREPARE_STORAGE = "prepare_storage"
    FUNCTIONS = "functions"
    AUTH = "auth"
    STORAGE = "storage"
    CONFIGURATION = "configuration"
    VALIDATE_SYSTEM = "validate_system"
    DISASTER_RECOVERY = "disaster_recovery"
    ASSESS = "assess"
    ACTIVATE = "activate"
    RESTORE_DATABASE = "restore_database"
    REPLAY = "replay"
    LAST_CHANGES = "last_changes"
    RESTORE_AUTH = "restore_auth"
    RESTORE_STORAGE = "restore_storage"
    REBUILD = "rebuild"
    VALIDATE_RESTORED = "validate_restored"
    RETURN_SERVICE = "return_service"


class Service(StrEnum):
    """What traffic is routed by."""

    DATABASE = "database"
    AUTH = "auth"
    STORAGE = "storage"
    FUNCTIONS = "functions"


class Outcome(StrEnum):
    """What is known about an effect. Unknown is its own answer, never a failure."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Level(IntEnum):
    """The four rollback levels of the specification."""

    TRAFFIC = 1
    DATA_SYNC = 2
    FULL_SYSTEM = 3
    DISASTER_RECOVERY = 4
