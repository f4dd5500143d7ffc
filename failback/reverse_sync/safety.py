"""The rules that are checked before a fence is lifted or the reverse path is removed.

Changes when a rule does. The rules' names are part of the errors, so that they can be looked up.
"""

from failback.errors import NotArmedError, SafetyRuleError, UnreachableError
from failback.models.common import Side
from failback.reverse_sync import changelog, conflicts, fence, position, tail, ways
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.control import Control
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.settings import SyncSettings

ONE_WRITER = "one_writer"
TAIL_DRAINED = "tail_drained"
CONFLICTS_SETTLED = "conflicts_settled"


def may_lift(settings: SyncSettings, control: Control, side: Side, accepted: str) -> None:
    """Whether one side may take writes.

    Args:
        settings: the estate's.
        control: sessions on both sides.
        side: whose fence is to be lifted.
        accepted: who, or which policy, accepts that the other side's tail is not empty.

    Raises:
        SafetyRuleError: `one_writer` where the other side takes writes, `tail_drained` where
            the other side has changes that this one lacks and nobody accepted that.
    """
    other = side.other
    try:
        with control.session(other) as session:
            if fence.is_up(session) is False:
                raise SafetyRuleError(
                    f"Rule {ONE_WRITER}: the {other.value} takes writes, so the {side.value} must "
                    "not.",
                    f"Fence the {other.value} first.",
                )
    except UnreachableError as error:
        if not accepted:
            raise SafetyRuleError(
                f"Rule {TAIL_DRAINED}: the {other.value} does not answer, so nobody knows what "
                f"the {side.value} lacks ({error.cause})",
                "Name who accepts that.",
            ) from error
        return
    if not accepted:
        _require_empty(settings, control, side)


def may_disarm(settings: SyncSettings, control: Control, accepted: str = "") -> None:
    """Whether nothing would be lost with the slots.

    Args:
        settings: the estate's.
        control: sessions on both sides.
        accepted: who accepts that the rest of the sender's tail is given up.

    Raises:
        SafetyRuleError: `tail_drained` where the sender is fenced and its tail is not empty:
            that is a rollback which is not over. `conflicts_settled` where rows are parked that
            nobody has settled: they would be dropped with the schema.
    """
    _require_settled(settings, control)
    with control.session(settings.direction.sender) as session:
        fenced = fence.is_up(session)
    if fenced and not accepted:
        _require_empty(settings, control, settings.direction.receiver)


def may_leave_out(settings: SyncSettings, control: Control, gone: Side, accepted: str) -> None:
    """Whether the reverse path may be removed from one side alone.

    Raises:
        SafetyRuleError: nobody accepts that, the other side answers, or conflicts are open on the
            side that is left.
    """
    if not accepted:
        raise SafetyRuleError(
            f"Rule {TAIL_DRAINED}: nobody knows what the {gone.value} holds that the "
            f"{gone.other.value} lacks.",
            "Name who accepts its loss.",
        )
    try:
        with control.session(gone) as session:
            fence.is_up(session)
    except UnreachableError:
        pass
    else:
        raise SafetyRuleError(
            f"Rule {ONE_WRITER}: the {gone.value} answers, and would be left behind with its fence "
            "and its slot.",
            "Disarm both sides.",
        )
    if settings.direction.receiver is gone.other:
        _require_settled(settings, control)


def _require_settled(settings: SyncSettings, control: Control) -> None:
    """Raise while rows are parked that nobody has settled."""
    with control.session(settings.direction.receiver) as session:
        parked = conflicts.read(session)
    if parked:
        raise SafetyRuleError(
            f"Rule {CONFLICTS_SETTLED}: {len(parked)} conflicts are parked in failback.conflicts "
            f"of the {settings.direction.receiver.value}, the oldest of {parked[0].table}.",
            "Settle each, or all by a rule: `failback sync conflicts settle`.",
        )


def _require_empty(settings: SyncSettings, control: Control, side: Side) -> None:
    """Raise unless the side has all that the other one has."""
    direction = settings.direction
    with control.session(direction.receiver) as receiver:
        try:
            held = position.read(receiver, direction)
        except NotArmedError:
            return
    with control.session(side.other) as session:
        if side is direction.receiver:
            pending = sender_pending(session, held)
        else:
            pending = _receiver_pending(session, held, settings.object_name)
    if pending:
        raise SafetyRuleError(
            f"Rule {TAIL_DRAINED}: the {side.other.value} has changes that the {side.value} lacks.",
            "Drain the tail (`failback sync run`), or name who accepts its loss.",
        )


def sender_pending(sender: Connection, held: StreamPosition) -> bool:
    """Whether the receiver may lack something; a comparison under the fence shows that not."""
    if held.proved_fenced and fence.is_up(sender) and _is_same_raising(sender, held):
        return False
    return bool(
        ways.of(held.capture).look(sender, held).pending
        or held.copy_whole
        or held.unproven
        or held.uncaptured
    )


def _is_same_raising(sender: Connection, held: StreamPosition) -> bool:
    """Whether the fence has been up ever since both sides were proved to be equal behind it."""
    return held.proved_raising is None or held.proved_raising == fence.raising(sender)


def _receiver_pending(receiver: Connection, held: StreamPosition, publication: str) -> bool:
    """Whether the receiver has changed rows itself that the sender lacks."""
    if held.receiver_lsn is None:  # it has taken no writes of its own
        return False
    if held.receiver_capture == ways.SLOT:
        known = held.receiver_lsn
        return tail.look(
            receiver, slot=held.receiver_slot, publication=publication, known=known
        ).pending
    if held.receiver_capture == ways.CHANGELOG:
        return changelog.look(receiver, None).pending
    return True  # nobody can tell
