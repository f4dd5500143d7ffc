"""Certificates as files in a folder, signed with the estate's key."""

import contextlib
import os
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from failback import certificates
from failback.errors import CertificateError
from failback.models.certificate import Attestation, certified
from failback.models.sync import VerifyReport
from failback.sections.proof import CertificatesConfig


class FileEvidence:
    """Writes certificates.

    Args:
        estate: the estate's name.
        config: key and folder.
    """

    def __init__(self, estate: str, config: CertificatesConfig) -> None:
        self._estate = estate
        self._config = config

    def certify(self, report: VerifyReport, rollback_id: str) -> Attestation:
        """See `Evidence.certify`."""
        if self._config is None:
            return Attestation(detail="No certificate: the estate has no certificates section.")
        if not report.exact or report.outcome != "succeeded" or report.ended_at is None:
            return Attestation(detail="No certificate: the comparison was not exact or failed.")
        now = datetime.now(UTC)
        try:
            key = certificates.read_signing_key(self._config.signing_key)
            data = certificates.sign(
                certified(
                    report,
                    estate=self._estate,
                    rollback_id=rollback_id,
                    issued_at=now,
                    software=f"failback {metadata.version('failback')}",
                ),
                key,
            )
            path = self._config.directory / f"{self._estate}-{now:%Y%m%dT%H%M%S.%fZ}.json"
            _write(path, data)
        except CertificateError as error:
            return Attestation(detail=f"No certificate: {error.cause}")
        except OSError as error:
            return Attestation(detail=f"No certificate: {error.filename}: {error.strerror}.")
        return Attestation(path=str(path))


def _write(path: Path, data: bytes) -> None:
    """All of a file or nothing of it, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
