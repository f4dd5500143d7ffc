"""Errors that an operator can act on: one class per cause, each with its cure."""


class FailbackError(Exception):
    """Root of every error that failback raises on purpose.

    Args:
        cause: what is wrong, in one sentence.
        cure: what to do about it, in one sentence; empty only where nothing can be done.
    """

    retryable = False
    """Whether the same call may succeed later without anybody doing anything."""

    def __init__(self, cause: str, cure: str = "") -> None:
        self.cause = cause
        self.cure = cure
        super().__init__(f"{cause} {cure}".strip())


class ConfigurationError(FailbackError):
    """The configuration file, an option or an input cannot be used as it is."""


class UnknownTablePatternError(ConfigurationError):
    """A pattern under `data.tables` matches no table."""


class UnreachableError(FailbackError):
    """A server did not answer; it may later."""

    retryable = True


class CredentialsError(FailbackError):
    """A server answered and refused the user or the password."""


class MissingRightError(FailbackError):
    """A server lets us in, but not do what is needed."""


class NotArmedError(FailbackError):
    """The reverse path was never armed, or was disarmed."""


class AlreadyArmedError(FailbackError):
    """The reverse path is armed already, for other tables or by another estate."""


class SlotLostError(FailbackError):
    """The slot is gone, invalid, or was moved by somebody else: changes may be missing."""


class SlotBusyError(FailbackError):
    """Another consumer holds the stream for the moment."""

    retryable = True


class FenceUpError(FailbackError):
    """A fence is up where the operation needs it down."""


class FenceNotHeldError(FailbackError):
    """A fence could not be raised or proved: a writer may still be at work."""

    retryable = True


class TableRefusedError(FailbackError):
    """A table cannot be synced as it is (no key, unlogged, missing on a side)."""


class SchemaDriftError(FailbackError):
    """The two sides' schemas differ in a way that would lose or change data."""


class VerificationFailedError(FailbackError):
    """The two sides were compared and do not hold the same rows."""


class SafetyRuleError(FailbackError):
    """A step would break a safety rule; its name is part of the cause."""


class RollbackRunningError(FailbackError):
    """The estate has a rollback already."""


class RollbackNotFoundError(FailbackError):
    """No rollback has this id."""


class ApprovalRefusedError(FailbackError):
    """A decision was made by nobody known, in no role that counts, or too late."""


class GateRefusedError(FailbackError):
    """An answer met no gate that waits, came from nobody who may give it, or lacked its reason."""


class NoAlertsError(FailbackError):
    """The estate has no such alert, or has had none at all."""


class JournalError(FailbackError):
    """A file is not a journal of acknowledged writes."""


class CertificateError(FailbackError):
    """A key or a certificate cannot be read, written or used."""


class AuditError(FailbackError):
    """An entry cannot be written, or what should be an audit log is none."""


class WebhookError(FailbackError):
    """A body is not what its sender's webhooks look like; nothing of it was taken."""


class PostMortemError(FailbackError):
    """A post-mortem cannot be written, read or completed."""


class UndeliveredMessageError(FailbackError):
    """A channel did not take a message."""

    retryable = True


class BalancerError(FailbackError):
    """The balancer answered and refused, or lacks a backend, server or map."""


class DnsRefusedError(FailbackError):
    """The name server answered and refused the update."""


class BucketMissingError(FailbackError):
    """A bucket that the configuration names is not there."""


class ObjectChangedError(FailbackError):
    """An object is not, or is no longer, the version that was to be read or replaced."""

    retryable = True


class StorageRefusedError(FailbackError):
    """An endpoint of objects answered and refused."""


class StorageBusyError(FailbackError):
    """Another storage sync of this estate is at work on this machine."""

    retryable = True


class PlatformRefusedError(FailbackError):
    """A platform's API answered and refused, or in a form that is not known."""


class PlatformMissingError(PlatformRefusedError):
    """A platform has no such project, function, key or secret."""


class SettingsError(FailbackError):
    """A place of configuration values is not there, or cannot be read or changed as it is."""


class SettingsChangedError(FailbackError):
    """Somebody else changed a place of configuration values between its reading and writing."""

    retryable = True


class PauseError(FailbackError):
    """A pause is not on record, or its activity is not configured any more."""


class PerformanceBaselineError(FailbackError):
    """A recorded baseline of the source's performance cannot be read, written or used."""


class LabError(FailbackError):
    """A part of the lab could not be started, found or broken as asked."""


class AuthRefusedError(FailbackError):
    """An auth server answered and refused what a rollback needs of it."""


class ObjectStoreError(FailbackError):
    """A bucket or folder answered and refused, or cannot do what is asked of it."""


class ObjectMissingError(ObjectStoreError):
    """A store has no object of this key."""


class BackupError(FailbackError):
    """Root of what is wrong with a backup or with taking one."""


class BackupNotFoundError(BackupError):
    """There is no backup of this id, or none at all."""


class BackupToolError(BackupError):
    """A program of PostgreSQL is missing, too old, or failed."""


class BackupManifestError(BackupError):
    """A manifest or a proof cannot be read, or was changed."""


class BackupVersionError(BackupError):
    """A manifest was written by a newer failback, in a form that this one does not know."""


class BackupSignatureError(BackupError):
    """A manifest is not signed, or not by a key that the estate trusts."""


class BackupEstateError(BackupError):
    """A backup is of another estate."""


class BackupPartMissingError(BackupError):
    """A part that the manifest names is not there."""


class BackupPartChangedError(BackupError):
    """A part has other bytes than the manifest says."""


class BackupRestoreError(BackupError):
    """A backup could not be restored aside."""


class BackupTableMissingError(BackupError):
    """A table that the manifest names is not in the restored database."""


class BackupContentError(BackupError):
    """A restored table or schema is not what the manifest says."""


class BackupRuleError(BackupError):
    """The restored data break a business rule, or amcheck found damage."""


class ArchiveError(FailbackError):
    """The change archive cannot be written or replayed as it is."""


class ArchiveGapError(ArchiveError):
    """The archive lacks changes: it begins after a backup, or something of it is missing."""


class ArchiveChangedError(ArchiveError):
    """Something in the archive is not what was written."""


class RecoveryError(FailbackError):
    """Root of what keeps a disaster recovery from going on."""


class NoProvenBackupError(RecoveryError):
    """No backup is proven and can still be read, or this one is not."""


class StandbyRefusedError(RecoveryError):
    """The standby answers, and does not let what is needed be done there."""


class RestoreFailedError(RecoveryError):
    """A backup could not be restored beside what is damaged."""


class RestoredDiffersError(RecoveryError):
    """What was restored is not what the backup's manifest says."""


class NothingRestoredError(RecoveryError):
    """A step needs what a restore made, and it is not there."""
