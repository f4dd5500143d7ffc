"""Which workflows and activities a worker serves, made from ports."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.archive import ArchiveActivities
from activities.audit import AuditActivities
from activities.backups import BackupActivities
from activities.catch_up import CatchUpActivities
from activities.database import DatabaseActivities
from activities.dns import DnsActivities
from activities.evidence import EvidenceActivities
from activities.notifications import NotificationActivities
from activities.post_mortem import PostMortemActivities, PostMortemWriter
from activities.recovery import RecoveryActivities
from activities.response import Gather, ResponseActivities, ResponseSettings
from activities.storage import StorageActivities
from activities.system import (
    AuthActivities,
    ConfigurationActivities,
    FunctionActivities,
    PauseActivities,
    ValidationActivities,
)
from activities.traffic import TrafficActivities
from activities.verification import ProbeFactory, VerificationActivities
from failback.backup_ports import Backups
from failback.catch_up_ports import CatchUpEngine
from failback.ports import (
    AuditLog,
    DnsProvider,
    Evidence,
    LoadBalancer,
    MigrationPause,
    Notifier,
    ReverseSyncEngine,
    RollbackRegistry,
    ServiceChecks,
)
from failback.post_mortem_ports import PostMortemStore
from failback.recovery_ports import ChangeArchive, Recovery
from failback.storage_ports import StorageSyncEngine
from failback.system_ports import (
    AuthBridge,
    ConfigurationSwitch,
    FunctionFleet,
    MigrationActivityPause,
    SystemValidation,
)
from workflows.alert_response import AlertResponse
from workflows.archiving import Archiving
from workflows.backup_proof import BackupProof
from workflows.data_sync_rollback import DataSyncRollback
from workflows.disaster_recovery import DisasterRecovery
from workflows.full_system_rollback import FullSystemRollback
from workflows.notification import Notification
from workflows.post_mortem import PostMortem
from workflows.recording import Recording
from workflows.reverse_sync import ReverseSync
from workflows.traffic_rollback import TrafficRollback

THREADS = 32
"""Database activities that may run at once; each holds its thread while it waits."""

_PASSED_THROUGH = ("failback", "activities", "pydantic", "pydantic_core", "annotated_types")
"""Modules that workflows share with the process: payloads and activity signatures."""

WORKFLOWS: Sequence[type] = (
    TrafficRollback,
    DataSyncRollback,
    FullSystemRollback,
    DisasterRecovery,
    AlertResponse,
    Recording,
    Notification,
    PostMortem,
    ReverseSync,
    BackupProof,
    Archiving,
)
"""Every workflow type that a worker can run."""


@dataclass(frozen=True)
class SystemPorts:
    """What levels 3 and 4 take back besides rows and traffic; None for what an estate lacks."""

    pauses: MigrationActivityPause | None = None
    functions: FunctionFleet | None = None
    auth: AuthBridge | None = None
    storage: StorageSyncEngine | None = None
    configuration: ConfigurationSwitch | None = None
    validation: SystemValidation | None = None
    recovery: Recovery | None = None
    archive: ChangeArchive | None = None


@dataclass(frozen=True)
class WorkerPorts:
    """The outside world as activities see it."""

    balancer: LoadBalancer
    dns: DnsProvider | None
    checks: ServiceChecks | None
    notifier: Notifier
    engine: ReverseSyncEngine
    probe: ProbeFactory | None = None
    evidence: Evidence | None = None
    audit: AuditLog | None = None
    post_mortems: PostMortemStore | None = None
    """None where nothing is written, as in a dry run."""
    response: ResponseSettings = field(default_factory=ResponseSettings)
    gather: Gather | None = None
    """Reads the evidence that decisions stand on."""
    registry: RollbackRegistry | None = None
    pause: MigrationPause | None = None
    catch_up: CatchUpEngine | None = None
    """None where backlogs are never shared out, as in a dry run."""
    system: SystemPorts = field(default_factory=SystemPorts)
    backups: Callable[[], Backups] | None = None
    """Opens them; None where the estate has none, and in a dry run."""


def activities_of(ports: WorkerPorts) -> list[Callable[..., Any]]:
    """Every activity, bound to these ports."""
    traffic = TrafficActivities(ports.balancer, ports.dns)
    dns = DnsActivities(ports.dns)
    database = DatabaseActivities(ports.engine, ports.evidence)
    verification = VerificationActivities(ports.checks, ports.probe, ports.balancer, ports.engine)
    notifications = NotificationActivities(ports.notifier, ports.audit)
    audit = AuditActivities(ports.audit)
    response = ResponseActivities(
        ports.response, ports.gather, ports.registry, ports.balancer, ports.pause
    )
    evidence = [] if ports.gather is None else [EvidenceActivities(ports.gather).gather_evidence]
    written = []
    if ports.post_mortems is not None:
        writer = PostMortemWriter(ports.post_mortems, ports.audit, ports.gather)
        written = [PostMortemActivities(writer).write_post_mortem]
    shared: list[Callable[..., Any]] = []
    if ports.catch_up is not None:
        catch_up = CatchUpActivities(ports.catch_up)
        shared = [catch_up.plan_catch_up, catch_up.carry_share, catch_up.settle_catch_up]
    kept: list[Callable[..., Any]] = []
    if ports.backups is not None:
        backups = BackupActivities(ports.backups, ports.system.archive)
        kept = [backups.take_backup, backups.prove_next_backup, backups.prune_backups]
    return [
        *evidence,
        *written,
        *shared,
        *_system_activities(ports.system),
        *_archiving(ports.system.archive),
        *kept,
        audit.record,
        response.read_policy,
        response.assess_situation,
        response.pause_migration,
        traffic.hold_requests,
        traffic.open_door,
        traffic.shift_weights,
        traffic.force_traffic,
        dns.point_names,
        database.catch_up,
        database.raise_fence,
        database.lift_fence,
        database.drain,
        database.verify_data,
        database.close_tail,
        database.keep_synced,
        verification.check_service,
        verification.measure_availability,
        verification.confirm_source_live,
        notifications.plan_delivery,
        notifications.deliver,
        notifications.notify,
    ]


def _archiving(archive: ChangeArchive | None) -> list[Callable[..., Any]]:
    """What the continuous archiving calls; nothing where the estate has no archive."""
    return [] if archive is None else [ArchiveActivities(archive).keep_archived]


def _system_activities(ports: SystemPorts) -> list[Callable[..., Any]]:
    """What levels 3 and 4 call; where a part is missing its activities say so."""
    pauses, functions = PauseActivities(ports.pauses), FunctionActivities(ports.functions)
    auth, storage = AuthActivities(ports.auth), StorageActivities(ports.storage)
    recovery = RecoveryActivities(ports.recovery, ports.archive)
    return [
        pauses.pause_activities,
        pauses.resume_activities,
        functions.list_functions,
        functions.bring_function_back,
        functions.put_function_back,
        auth.prepare_auth,
        auth.open_session,
        auth.confirm_session,
        auth.confirm_refresh,
        auth.close_session,
        storage.pre_sync_storage,
        storage.sync_storage,
        storage.verify_storage,
        ConfigurationActivities(ports.configuration).switch_configuration,
        ValidationActivities(ports.validation).validate_system,
        recovery.assess_damage,
        recovery.activate_standby,
        recovery.restore_part,
        recovery.archive_now,
        recovery.replay_archive,
        recovery.verify_restored,
        recovery.rebuild_connections,
        recovery.enable_service,
        recovery.watch_service,
    ]


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox that workflows run in, in a worker and in a replay."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
    )


def build_worker(
    client: Client, task_queue: str, ports: WorkerPorts, threads: ThreadPoolExecutor
) -> Worker:
    """A worker that serves every workflow and activity on these ports."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=activities_of(ports),
        activity_executor=threads,
        workflow_runner=workflow_runner(),
        max_concurrent_activities=THREADS,
        max_concurrent_local_activities=THREADS,
        # A dead worker's queue of its own is given up quickly, and a cancel arrives quickly.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        max_heartbeat_throttle_interval=timedelta(milliseconds=250),
        default_heartbeat_throttle_interval=timedelta(milliseconds=250),
        graceful_shutdown_timeout=timedelta(seconds=3),
    )
