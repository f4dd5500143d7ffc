"""Evidence in memory."""

from failback.models.certificate import Attestation, Certificate, certified
from failback.models.sync import VerifyReport


class FakeEvidence:
    """Keeps what it certifies in a list.

    Args:
        estate: the estate's name.
        broken: fails to write, as a full disk does.
    """

    def __init__(self, estate: str = "shop", *, broken: bool = False) -> None:
        self.estate = estate
        self.broken = broken
        self.certificates: list[Certificate] = []

    def certify(self, report: VerifyReport, rollback_id: str) -> Attestation:
        """See `Evidence.certify`."""
        if self.broken:
            return Attestation(detail="The certificate cannot be written: No space left.")
        if not report.exact or report.outcome != "succeeded":
            return Attestation(detail="Nothing to certify.")
        self.certificates.append(
            certified(
                report,
                estate=self.estate,
                rollback_id=rollback_id,
                issued_at=report.ended_at or report.started_at,
                software="failback test",
            )
        )
        return Attestation(path=f"memory:{len(self.certificates)}")
