"""Knows which way changes are carried, also after another process has turned the stream round.

Changes when the direction in force is told in another way.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from failback.errors import FailbackError, SafetyRuleError, UnreachableError
from failback.models.common import Side
from failback.reverse_sync import turning
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.control import Control
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.safety import ONE_WRITER
from failback.reverse_sync.settings import SyncSettings

_LOOK_SECONDS = 2.0


def may_roll_back(settings: SyncSettings, look_seconds: float = _LOOK_SECONDS) -> None:
    """Whether the stream runs the way that a rollback needs, as far as the sides tell.

    A side that does not answer in time says nothing: a rollback has to start where one is down.

    Args:
        settings: the estate's.
        look_seconds: for so long answers are waited for.

    Raises:
        SafetyRuleError: `one_writer`: the stream was turned round, so that changes go from the
            source to the target.
    """

    def told(side: Side) -> tuple[int, Direction]:
        session = settings.servers.connect(side, autocommit=True)
        with contextlib.closing(session), settings.servers.explaining(side):
            return turning.told_by(session)

    executor = ThreadPoolExecutor(len(Side), thread_name_prefix="heading")
    looks = [executor.submit(told, side) for side in Side]
    answered, _ = wait(looks, timeout=look_seconds)
    executor.shutdown(wait=False, cancel_futures=True)
    known = []
    for look in answered:
        with contextlib.suppress(FailbackError):
            known.append(look.result())
    if known and max(known, key=lambda each: each[0])[1].sender is Side.SOURCE:
        raise SafetyRuleError(
            f"Rule {ONE_WRITER}: the estate is reprotected: its stream carries the source's "
            "changes to the target, so there is nothing to roll back.",
            "Once the target is live again, `failback arm` turns the stream round for the next "
            "attempt; then start the rollback again.",
        )


class Heading:
    """The direction that one engine works in.

    Args:
        settings: of the estate, with the direction to begin with.
        looking: sessions to look with.
        changed: called with settings that have the new direction.
    """

    def __init__(
        self, settings: SyncSettings, looking: Control, changed: Callable[[SyncSettings], None]
    ) -> None:
        self._settings = settings
        self._looking = looking
        self._changed = changed
        self._known = False

    @property
    def direction(self) -> Direction:
        """As it was known last."""
        return self._settings.direction

    def follow(self) -> bool:
        """Look which direction is in force; whether it is another one than before.

        Each side knows it, so that one that answers is enough.
        """
        with contextlib.ExitStack() as stack:
            sessions = {}
            for side in Side:
                with contextlib.suppress(UnreachableError):
                    sessions[side] = stack.enter_context(self._looking.session(side))
            if not sessions:
                return False
            direction = turning.in_force(sessions)
        self._known = True
        return self._become(direction)

    def follow_once(self) -> None:
        """Look, where nobody has looked yet."""
        if not self._known:
            self.follow()

    def agree(self, session: Connection) -> None:
        """Look on one side alone, by a session that is open, before a rule is applied."""
        if turning.told_by(session)[1] != self.direction:
            self.follow()

    def _become(self, direction: Direction) -> bool:
        if direction == self.direction:
            return False
        self._settings = replace(self._settings, direction=direction)
        self._changed(self._settings)
        return True
