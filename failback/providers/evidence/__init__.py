"""Where the proof of a rollback is kept."""

from failback.providers.evidence.fake import FakeEvidence
from failback.providers.evidence.files import FileEvidence

__all__ = ["FakeEvidence", "FileEvidence"]
