"""Every operation of the API, with whose token may call it."""

from dataclasses import dataclass
from http import HTTPStatus

from failback.config import Estate
from failback.gateway.api.bodies import (
    AnswerGate,
    Approve,
    Cancelled,
    Decide,
    DecisionTaken,
    EntryList,
    EventKept,
    GateList,
    RaiseLevel,
    Readiness,
    ReportEvent,
    RollbackList,
    StartRollback,
)
from failback.gateway.api.looking import Look, ReadinessOperations
from failback.gateway.api.operations import Operation
from failback.gateway.api.records import RecordOperations
from failback.gateway.api.recoveries import Recoveries, RecoveryOperations
from failback.gateway.api.rollbacks import Desk, RollbackOperations
from failback.gateway.intake import Intake
from failback.gateway.tokens import Role
from failback.models.recovery import RecoveryGate, RecoveryResult
from failback.models.rollback import RollbackStatus
from failback.ports import AuditLog

_OPERATOR = frozenset({Role.OPERATOR})
_APPROVER = frozenset({Role.APPROVER})
_LIMIT = {"limit": "How many at most."}
_RANGE = {"since": "From this time.", "until": "Until this time.", **_LIMIT}
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_ROLLBACK = "/api/rollbacks/{rollback_id}"


@dataclass(frozen=True)
class Backing:
    """What the operations work on."""

    estate: Estate
    desk: Desk
    recoveries: Recoveries
    audit: AuditLog
    intake: Intake
    look: Look


def operations_of(backing: Backing) -> list[Operation]:
    """The table."""
    return [
        *_rollbacks(backing),
        *_decisions(backing),
        *_recoveries(backing),
        *_records(backing),
    ]


def _rollbacks(backing: Backing) -> list[Operation]:
    on = RollbackOperations(backing.desk, backing.estate)
    return [
        Operation(
            name="list_rollbacks",
            method="GET",
            path="/api/rollbacks",
            summary="The estate's rollbacks, the newest first.",
            act=on.list,
            answer=RollbackList,
            query=_LIMIT,
        ),
        Operation(
            name="start_rollback",
            method="POST",
            path="/api/rollbacks",
            summary="Start a rollback. 409 where one runs already.",
            act=on.start,
            answer=RollbackStatus,
            roles=_OPERATOR,
            status=HTTPStatus.CREATED,
            body=StartRollback,
            refusals=(HTTPStatus.CONFLICT,),
        ),
        Operation(
            name="get_rollback",
            method="GET",
            path=_ROLLBACK,
            summary="Where one rollback stands, with its steps and decisions.",
            act=on.get,
            answer=RollbackStatus,
            refusals=(HTTPStatus.NOT_FOUND,),
        ),
        Operation(
            name="list_pending_approvals",
            method="GET",
            path="/api/approvals",
            summary="Rollbacks that wait for people.",
            act=on.pending,
            answer=RollbackList,
        ),
    ]


def _decisions(backing: Backing) -> list[Operation]:
    on = RollbackOperations(backing.desk, backing.estate)
    return [
        Operation(
            name="approve_rollback",
            method="POST",
            path=f"{_ROLLBACK}/approve",
            summary="Approve the plan whose hash is given, in the name of the token's holder.",
            act=on.approve,
            answer=DecisionTaken,
            roles=_APPROVER,
            body=Approve,
            refusals=_GONE,
        ),
        Operation(
            name="reject_rollback",
            method="POST",
            path=f"{_ROLLBACK}/reject",
            summary="End a rollback before it acts.",
            act=on.reject,
            answer=DecisionTaken,
            roles=_APPROVER,
            body=Decide,
            refusals=_GONE,
        ),
        Operation(
            name="accept_tail",
            method="POST",
            path=f"{_ROLLBACK}/accept-tail",
            summary="Accept that the rest of the tail stays on the fenced target.",
            act=on.accept_tail,
            answer=DecisionTaken,
            roles=_APPROVER,
            body=Decide,
            refusals=_GONE,
        ),
        Operation(
            name="raise_rollback",
            method="POST",
            path=f"{_ROLLBACK}/raise",
            summary="Let level 3 or 4 take over; it keeps what is done, and asks its own people.",
            act=on.raise_level,
            answer=DecisionTaken,
            roles=_OPERATOR | _APPROVER,
            body=RaiseLevel,
            refusals=_GONE,
        ),
        Operation(
            name="cancel_rollback",
            method="POST",
            path=f"{_ROLLBACK}/cancel",
            summary="Cancel a rollback whose traffic has not moved; what it did is undone.",
            act=on.cancel,
            answer=Cancelled,
            roles=_OPERATOR | _APPROVER,
            status=HTTPStatus.ACCEPTED,
            body=Decide,
            refusals=_GONE,
        ),
    ]


def _recoveries(backing: Backing) -> list[Operation]:
    on = RecoveryOperations(backing.recoveries, backing.estate)
    return [
        Operation(
            name="get_newest_recovery",
            method="GET",
            path="/api/recovery",
            summary="What the newest disaster recovery found and did, with every gate.",
            act=on.newest,
            answer=RecoveryResult,
            refusals=(HTTPStatus.NOT_FOUND,),
        ),
        Operation(
            name="get_recovery",
            method="GET",
            path=f"{_ROLLBACK}/recovery",
            summary="The same of one rollback: of a level 4, or of what a level 3 began.",
            act=on.get,
            answer=RecoveryResult,
            refusals=(HTTPStatus.NOT_FOUND,),
        ),
        Operation(
            name="list_gates",
            method="GET",
            path="/api/gates",
            summary="Gates of recoveries that wait for people.",
            act=on.gates,
            answer=GateList,
        ),
        Operation(
            name="answer_gate",
            method="POST",
            path=f"{_ROLLBACK}/recovery/gates/{{gate}}",
            summary="Answer the gate that waits, in the name of the token's holder.",
            act=on.answer,
            answer=RecoveryGate,
            roles=_APPROVER,
            body=AnswerGate,
            refusals=_GONE,
        ),
    ]


def _records(backing: Backing) -> list[Operation]:
    on = RecordOperations(backing.audit, backing.intake)
    return [
        Operation(
            name="list_alerts",
            method="GET",
            path="/api/alerts",
            summary="Alerts in the audit log.",
            act=on.alerts,
            answer=EntryList,
            query=_RANGE,
        ),
        Operation(
            name="list_events",
            method="GET",
            path="/api/events",
            summary="Complaints and corruption in the audit log.",
            act=on.events,
            answer=EntryList,
            query=_RANGE,
        ),
        Operation(
            name="report_event",
            method="POST",
            path="/api/events",
            summary="Report a complaint or a corruption, which the decision counts.",
            act=on.report,
            answer=EventKept,
            roles=_OPERATOR,
            status=HTTPStatus.ACCEPTED,
            body=ReportEvent,
            headers={"Idempotency-Key": "The same for the same event, however often it is sent."},
            refusals=(HTTPStatus.CONFLICT,),
        ),
        Operation(
            name="get_readiness",
            method="GET",
            path="/api/readiness",
            summary="Whether failback can reach each part, and has the rights it needs.",
            act=ReadinessOperations(backing.look).get,
            answer=Readiness,
        ),
    ]
