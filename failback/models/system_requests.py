"""What the workflows of levels 3 and 4 ask of activities besides traffic and rows."""

from failback.models.common import Payload, Side
from failback.models.recovery import Part, RecoveryService
from failback.models.requests import StepRequest
from failback.models.system import Item, SessionProbe


class PauseActivitiesRequest(StepRequest):
    """Stop everything that migrates."""

    reason: str


class ResumeActivitiesRequest(StepRequest):
    """Let what a rollback paused go on; all of it where no names are given."""

    names: tuple[str, ...] = ()


class FunctionNames(Payload):
    """The functions that have to be brought back, in order."""

    names: tuple[str, ...] = ()


class FunctionRequest(StepRequest):
    """One function; its name is part of the key."""

    name: str


class ItemReport(Payload):
    """What became of one item."""

    item: Item
    attempts: int = 1


class SessionRequest(StepRequest):
    """Asks about the session that was opened on the target."""

    probe: SessionProbe


class SwitchConfigurationRequest(StepRequest):
    """Give every key the value of one side."""

    side: Side


class ValidateSystemRequest(StepRequest):
    """Look at the whole product until all is right or the patience is over."""

    patience_seconds: float = 0.0


class RestorePartRequest(StepRequest):
    """Restore one part from a backup, beside what is damaged."""

    part: Part
    backup: str


class ReplayArchiveRequest(StepRequest):
    """Replay archived changes into the restored database."""

    backup: str
    after: str = ""
    """Up to where an earlier replay came."""


class ServiceShareRequest(StepRequest):
    """Give one service of the gradual return its share of traffic, in percent."""

    service: RecoveryService
    share: int


class WatchServiceRequest(StepRequest):
    """Look at one service until it has been stable for long enough."""

    service: RecoveryService
    share: int
    stability_seconds: float
    look_seconds: float
    patience_seconds: float


class StabilityReport(Payload):
    """How a service stood while it was looked at."""

    stable: bool
    holds: int = 0
    """How often a failed look made its time start over."""
    looks: int = 0
    detail: str = ""
    attempts: int = 1
