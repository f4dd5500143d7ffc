"""Results of rollbacks as they come out of real runs, for tests of what shows them."""

import hashlib
from datetime import UTC, datetime, timedelta

from failback.models.common import Level, Outcome
from failback.models.rollback import (
    AvailabilityReport,
    DataLoss,
    EmergencyAction,
    Phase,
    RecordedDecision,
    RollbackResult,
    RollbackStatus,
    StepRecord,
)
from failback.models.sync import RuleResult, TableDigest, VerifyReport

BEGAN = datetime(2026, 3, 14, 2, 41, 7, 218_000, tzinfo=UTC)
TABLES = (
    ("auth.identities", 412),
    ("auth.users", 412),
    ("public.ai_queries", 30_211),
    ("public.document_tags", 118_402),
    ("public.documents", 61_873),
    ("public.organisations", 38),
    ("storage.objects", 9_120),
)


def at(seconds: float) -> datetime:
    """A moment after the rollback began to act."""
    return BEGAN + timedelta(seconds=seconds)


def step(
    name: str,
    start: float,
    took: float,
    budget: float,
    detail: str = "",
    *,
    outcome: Outcome = Outcome.SUCCEEDED,
    attempts: int = 1,
) -> StepRecord:
    """A step that began `start` seconds after the rollback might act."""
    return StepRecord(
        name=name,
        started_at=at(start),
        ended_at=at(start + took),
        attempts=attempts,
        budget_seconds=budget,
        outcome=outcome,
        detail=detail,
    )


def digest(table: str, side: str = "") -> str:
    """Something that looks like the digest of a table."""
    return hashlib.sha256(f"{table}{side}".encode()).hexdigest()[:32]


def verification(*, equal: bool = True) -> VerifyReport:
    """Both sides compared, with one differing table where they are not equal."""
    broken = "" if equal else "public.documents"
    return VerifyReport(
        outcome=Outcome.SUCCEEDED if equal else Outcome.FAILED,
        exact=True,
        started_at=at(1.31),
        seconds=0.84,
        tables=tuple(
            TableDigest(
                table=name,
                source_rows=rows - 3 * (name == broken),
                target_rows=rows,
                source_digest=digest(name, "changed" if name == broken else ""),
                target_digest=digest(name),
                missing=3 * (name == broken),
                keys=("7041", "7042", "9133") if name == broken else (),
            )
            for name, rows in TABLES
        ),
        foreign_keys=tuple(
            RuleResult(name=name, violations=0)
            for name in ("documents_owner_fkey", "document_tags_document_fkey")
        ),
        rules=(
            RuleResult(
                name="every document has an owner",
                violations=0 if equal else 2,
                examples=() if equal else ("7041", "7042"),
            ),
        ),
    )


def level_1(*, is_child: bool = False, start: float = 2.2) -> RollbackResult:
    """A traffic rollback that went well."""
    return RollbackResult(
        rollback_id="l1-20260314-024105-7c1e",
        level=Level.TRAFFIC,
        estate="shop-eu",
        reason="p95 above 10 s for three minutes",
        requested_by="alert CriticalErrorRateHigh",
        success=True,
        started_at=at(start),
        ended_at=at(start + 3.4),
        execution_seconds=3.4,
        data_loss=DataLoss(),
        service_availability=1.0,
        availability=AvailabilityReport(probes=96, passed=96, longest_gap_seconds=0.31),
        steps=(
            step("load_balancer", start + 0.01, 0.02, 5, "4 routes read back as 100/0"),
            step("open_source", start + 0.03, 0.03, 5, "the source takes writes"),
            step("dns", start + 0.08, 1.9, 10, "2 names, 3 resolvers answer the source's host"),
            step("verify", start + 2.0, 1.2, 10, "8 of 8 checks passed"),
            step("notify", start + 3.25, 0.1, 5, "2 channels told"),
        ),
        write_gap_seconds=None if is_child else 0.214,
    )


def level_2() -> RollbackResult:
    """A data-sync rollback that went well, with one decision that did not count."""
    return RollbackResult(
        rollback_id="l2-20260314-024105-91af",
        level=Level.DATA_SYNC,
        estate="shop-eu",
        reason="target answers 5 % of writes with 503 since the 02:30 deploy <b>bold</b>",
        requested_by="mira",
        success=True,
        started_at=at(-73.4),
        ended_at=at(6.1),
        execution_seconds=5.86,
        waited_seconds=73.4,
        data_loss=DataLoss(),
        service_availability=0.9994,
        availability=AvailabilityReport(
            probes=3_402,
            passed=3_400,
            longest_gap_seconds=1.62,
            by_check={"database": (1_134, 1_134), "auth": (1_134, 1_134), "api": (1_132, 1_134)},
        ),
        synced_records=1_877,
        steps=(
            step("catch_up", 0.05, 0.92, 120, "1 801 keys in 2 batches, 0.9 s behind"),
            step("hold", 0.99, 0.02, 2, "4 doors closed, nothing in flight"),
            step("fence", 1.02, 0.06, 10, "fenced in 12 ms, 3 proofs; ended pid 4411 app etl"),
            step("sync_back", 1.09, 0.19, 120, "76 keys in 1 batch, 14 sequences", attempts=2),
            step("verify_integrity", 1.29, 0.88, 60, "7 tables, 220 468 rows: 0 missing"),
            step("traffic_rollback", 2.18, 3.45, 30, "on the source in 3.40 s"),
            step("resume", 5.65, 0.21, 10, "4 routes 100/0; source takes writes; target fenced"),
        ),
        decisions=(
            RecordedDecision(
                verb="approve",
                who="mira",
                role="engineer",
                comment="",
                at=at(-31),
                counted=False,
                why_not="who asked cannot approve alone",
            ),
            RecordedDecision(
                verb="approve",
                who="jonas",
                role="engineering-lead",
                comment="Go. Customers see errors.",
                at=at(-0.1),
                counted=True,
            ),
        ),
        write_gap_seconds=1.21,
        held_at=at(1.01),
        released_at=at(2.22),
        lag_before_fence_seconds=0.087,
        verification=verification(),
        children=(level_1(is_child=True),),
    )


def level_2_failed() -> RollbackResult:
    """A data-sync rollback whose source went away: served without sync, the tail kept."""
    result = level_2()
    return result.model_copy(
        update={
            "success": False,
            "error": "sync_back: the source database app on 10.0.3.7:5432 does not answer",
            "emergency_action": EmergencyAction.IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC,
            "data_loss": DataLoss(lost_rows=None, tail="pending", detail="the drain goes on"),
            "steps": (
                *result.steps[:3],
                step("sync_back", 1.09, 8.2, 5, "no answer", outcome=Outcome.FAILED, attempts=6),
            ),
            "service_availability": 0.871,
            "verification": None,
            "children": (level_1(is_child=True, start=9.4),),
            "ended_at": at(13.0),
        }
    )


def status(phase: Phase, result: RollbackResult | None = None) -> RollbackStatus:
    """Where the level 2 rollback stands in a phase."""
    whole = level_2()
    return RollbackStatus(
        rollback_id=whole.rollback_id,
        estate=whole.estate,
        level=whole.level,
        phase=phase,
        reason=whole.reason,
        requested_by=whole.requested_by,
        started_at=whole.started_at,
        approvals_needed=1,
        approvals_given=0 if phase is Phase.WAITING_FOR_APPROVAL else 1,
        steps=() if phase is Phase.WAITING_FOR_APPROVAL else whole.steps[:3],
        result=result,
    )
