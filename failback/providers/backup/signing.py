"""Manifests and proofs as files: canonical JSON with its digest and, with a key, a signature.

Changes when the file's form does. As with certificates, a file that would be written in another
way than it is was changed, so that not one byte of it is free.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from failback import certificates
from failback.errors import (
    BackupEstateError,
    BackupManifestError,
    BackupSignatureError,
    BackupVersionError,
)
from failback.models.archive import ChainStart, SegmentManifest
from failback.models.backups import VERSION, BackupManifest, BackupProof
from failback.sections.backup import BackupConfig
from failback.sections.proof import CertificatesConfig

MOST_BYTES = 64 * 2**20
"""Of a manifest; more is none."""
_CONTEXT = b"failback backup v1\n"
"""Signed before the facts, so that a signature of anything else never counts as one."""
_MEMBERS = {"facts", "sha256", "key", "signature"}

Document = TypeVar("Document", BackupManifest, BackupProof, ChainStart, SegmentManifest)


@dataclass(frozen=True)
class Trust:
    """Which keys count.

    Args:
        own: signs what we write; None leaves it unsigned.
        others: whose signatures count besides.
    """

    own: Ed25519PrivateKey | None = None
    others: tuple[Ed25519PublicKey, ...] = ()
    keys: dict[str, Ed25519PublicKey] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        every = (*(() if self.own is None else (self.own.public_key(),)), *self.others)
        self.keys.update({certificates.fingerprint(key): key for key in every})

    @classmethod
    def of(cls, config: BackupConfig, evidence: CertificatesConfig | None) -> Self:
        """The keys of an estate.

        Raises:
            CertificateError: a key that is configured cannot be read.
        """
        own = None if evidence is None else certificates.read_signing_key(evidence.signing_key)
        return cls(own, tuple(map(certificates.read_public_key, config.trusted_keys)))


def sealed(
    document: BackupManifest | BackupProof | ChainStart | SegmentManifest, trust: Trust
) -> bytes:
    """The file of a manifest, a proof, or something of the change archive."""
    facts = document.model_dump(mode="json")
    canonical = certificates.canonical(facts)
    named, signature = "", ""
    if trust.own is not None:
        named = certificates.fingerprint(trust.own.public_key())
        signature = base64.b64encode(trust.own.sign(_CONTEXT + canonical)).decode()
    return _written(
        {
            "facts": facts,
            "sha256": hashlib.sha256(canonical).hexdigest(),
            "key": named,
            "signature": signature,
        }
    )


def unsealed(
    data: bytes, kind: type[Document], name: str, estate: str, trust: Trust
) -> tuple[Document, str]:
    """What a file says, and the fingerprint of who signed it; empty for nobody.

    Args:
        data: the file as it is.
        kind: what it should be.
        name: what errors call it.
        estate: whose it should be.
        trust: whose signature counts; without any key an unsigned file counts, too.

    Raises:
        BackupManifestError: it cannot be read, is something else, or was changed.
        BackupVersionError: a newer failback wrote it.
        BackupEstateError: it is another estate's.
        BackupSignatureError: it is not signed by a key that counts.
    """
    try:
        document = _opened(data)
        facts = document["facts"]
        version = facts.get("version")
        if not isinstance(version, int):
            raise ValueError("it has no version")  # noqa: TRY004, TRY301 - one way out for all
        if version > VERSION:
            raise BackupVersionError(
                f"{name} is of version {version}; this failback knows up to {VERSION}.",
                "Use the failback that took the backup, or a newer one.",
            )
        if _written(document) != data:
            raise ValueError("it is written in another way than failback writes")  # noqa: TRY301 - as above
        if hashlib.sha256(certificates.canonical(facts)).hexdigest() != document["sha256"]:
            raise ValueError("its facts have another digest than it says")  # noqa: TRY301 - as above
        if facts.get("kind") != kind.model_fields["kind"].default:
            raise ValueError(f"it is a {facts.get('kind')!r}")  # noqa: TRY301 - as above
        found = kind.model_validate(facts)
    except (ValueError, ValidationError) as error:
        raise BackupManifestError(
            f"{name} was changed or cannot be read: {error}.", "Take another backup."
        ) from error
    if found.estate != estate:
        raise BackupEstateError(
            f"{name} is of the estate {found.estate}, not of {estate}.",
            "Use that estate's configuration, or another backup.",
        )
    return found, _signer(document, name, trust)


def _signer(document: dict[str, Any], name: str, trust: Trust) -> str:
    named = str(document["key"])
    if not trust.keys:
        # Nobody's signature can be checked here; the digest above still finds an accident.
        return named
    if not named:
        raise BackupSignatureError(
            f"{name} is not signed, and this estate signs its backups.",
            "Take another backup; what somebody else put there proves nothing.",
        )
    key = trust.keys.get(named)
    if key is None:
        raise BackupSignatureError(
            f"{name} is signed by the key {named}, which this estate does not trust.",
            "If it is an earlier key of yours, name its public key in backup.trusted_keys.",
        )
    try:
        signature = base64.b64decode(str(document["signature"]), validate=True)
        key.verify(signature, _CONTEXT + certificates.canonical(document["facts"]))
    except (ValueError, InvalidSignature) as error:
        raise BackupSignatureError(
            f"{name} does not carry a signature of its facts by the key {named}.",
            "Somebody changed it: take another backup.",
        ) from error
    return named


def _opened(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("facts"), dict):
        raise ValueError("it has no facts")  # noqa: TRY004 - a file's fault, not a caller's
    if document.keys() != _MEMBERS and document["facts"].get("version") == VERSION:
        raise ValueError(f"it has other members than {', '.join(sorted(_MEMBERS))}")
    return document


def _written(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
