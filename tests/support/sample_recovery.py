"""A disaster recovery as it reports, for whatever shows one."""

from failback.models.common import Level, Outcome
from failback.models.recovery import (
    ArchiveState,
    Assessment,
    BackupChoice,
    Condition,
    GateAnswer,
    GateVerb,
    Part,
    PartAssessment,
    RecoveryGate,
    RecoveryResult,
    RecoveryService,
    RestoreReport,
    ReturnedService,
)
from failback.models.rollback import RollbackResult
from failback.models.system import Item, ItemsReport

from . import sample_results as sample


def assessment() -> Assessment:
    """The database is gone, the newest backup cannot be read."""
    return Assessment(
        at=sample.at(0.0),
        parts=(
            PartAssessment(
                part=Part.DATABASE,
                condition=Condition.GONE,
                evidence=(
                    Item(name="connection", outcome=Outcome.FAILED, detail="refused <i>here</i>"),
                ),
            ),
            PartAssessment(part=Part.STORAGE, condition=Condition.HEALTHY),
        ),
        choice=BackupChoice(
            backup="20260314T020000Z-aa",
            taken_at=sample.at(-2400.0),
            proven_at=sample.at(-1800.0),
            rows=120_000,
            passed_over=(
                Item(name="20260314T023000Z-bb", outcome=Outcome.FAILED, detail="part unreadable"),
            ),
        ),
        archive=ArchiveState(segments=240, keys=9_000, joins_backup=True),
        target_answers=True,
        loss_seconds=0.0,
        restore_seconds=40.0,
    )


def recovery() -> RecoveryResult:
    """One gate passed, one service back."""
    gate = RecoveryGate(
        gate="1-activate",
        step="activate",
        plan="Make sure that the standby answers.",
        opened_at=sample.at(1.0),
        answer=GateAnswer(gate="1-activate", verb=GateVerb.GO_ON, who="mira", reason="seen"),
        answered_at=sample.at(2.0),
    )
    return RecoveryResult(
        assessment=assessment(),
        restores=(
            RestoreReport(
                part=Part.DATABASE,
                outcome=Outcome.SUCCEEDED,
                place="app_rb4 on standby:5432",
                backup="20260314T020000Z-aa",
                rows=120_000,
                seconds=31.0,
            ),
        ),
        gates=(gate,),
        services=(
            ReturnedService(
                service=RecoveryService.AUTHENTICATION,
                outcome=Outcome.SUCCEEDED,
                enabled_at=sample.at(3.0),
                stable_at=sample.at(4.0),
                holds=1,
            ),
        ),
        loss_seconds=7.5,
    )


def level_4() -> RollbackResult:
    """A disaster recovery that went well."""
    return sample.level_2().model_copy(
        update={"level": Level.DISASTER_RECOVERY, "recovery": recovery(), "verification": None}
    )


def level_4_aborted() -> RollbackResult:
    """One that people have to finish."""
    ended = recovery().model_copy(
        update={"manual_intervention_required": True, "runbook": "# People have to take over\n"}
    )
    return level_4().model_copy(
        update={"success": False, "error": "aborted at gate 2-restore", "recovery": ended}
    )


def level_3() -> RollbackResult:
    """A full-system rollback with something that stays paused."""
    return sample.level_2().model_copy(
        update={
            "level": Level.FULL_SYSTEM,
            "paused": ("forward_sync",),
            "validation": ItemsReport(
                items=(
                    Item(name="auth_flow", outcome=Outcome.SUCCEEDED, milliseconds=41.0),
                    Item(name="performance", outcome=Outcome.INCONCLUSIVE, detail="no baseline"),
                )
            ),
        }
    )
