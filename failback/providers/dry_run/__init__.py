"""The ports of a dry run: reads are real, writes become sentences."""

from failback.providers.dry_run.journal import DryRunJournal
from failback.providers.dry_run.recovery import DryRunArchive, DryRunRecovery
from failback.providers.dry_run.service import DryRunChecks, DryRunNotifier
from failback.providers.dry_run.sync import DryRunSync
from failback.providers.dry_run.system import (
    DryRunAuth,
    DryRunConfiguration,
    DryRunFunctions,
    DryRunPauses,
    DryRunStorage,
    DryRunValidation,
)
from failback.providers.dry_run.traffic import DryRunDns, DryRunLoadBalancer

__all__ = [
    "DryRunArchive",
    "DryRunAuth",
    "DryRunChecks",
    "DryRunConfiguration",
    "DryRunDns",
    "DryRunFunctions",
    "DryRunJournal",
    "DryRunLoadBalancer",
    "DryRunNotifier",
    "DryRunPauses",
    "DryRunRecovery",
    "DryRunStorage",
    "DryRunSync",
    "DryRunValidation",
]
