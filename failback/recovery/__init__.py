"""Disaster recovery of an estate: assess, restore beside, replay, verify, swap, return.

A leaf like the reverse sync: it knows databases by their connection strings, and everything else
by the Protocols that it is given.
"""

from failback.recovery.engine import EstateRecovery
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.vault import BackupVault, Probe

__all__ = ["BackupVault", "EstateRecovery", "Hands", "Probe", "RecoverySettings"]
