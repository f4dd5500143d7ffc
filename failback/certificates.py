"""Signs and checks certificates: Ed25519 over canonical JSON, and not one byte of slack.

Changes when the file's form does. A file is one JSON object of `certificate`, `key` and
`signature`, written in exactly one way: keys sorted, two spaces of indentation, ASCII, one final
newline. A file that would be written in another way than it is, is no certificate: so a changed
space, a repeated or an unknown key and a number in another notation fail as a changed digit does.
"""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from failback.errors import CertificateError
from failback.models.certificate import VERSION, Certificate, CertificateCheck

CONTEXT = b"failback certificate v1\n"
"""Signed before the facts, so that the key's signature of anything else never counts as one."""
_MEMBERS = {"certificate", "key", "signature"}
_MOST_BYTES = 64 * 2**20


def generate(path: Path) -> Path:
    """Make a key pair: the private key at `path`, for its owner alone, the public one beside it.

    Returns:
        The public key's path, `path` with `.pub` at its end.

    Raises:
        CertificateError: one of the files exists, or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    public_path = path.with_name(f"{path.name}.pub")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if public_path.exists():
            raise FileExistsError(17, "it exists already", str(public_path))
        _write_new(
            path,
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            0o600,
        )
        _write_new(public_path, _pem(private.public_key()), 0o644)
    except OSError as error:
        raise CertificateError(
            f"The key pair cannot be written to {path}: {error.strerror}.",
            "Name a new file in a folder that you may write to; keys are never overwritten.",
        ) from error
    return public_path


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        CertificateError: there is none, others may read it, or it is no Ed25519 key.
    """
    if path.exists() and path.stat().st_mode & 0o077:
        raise CertificateError(
            f"The signing key {path} may be read by others than its owner.",
            f"chmod 600 {path}; if anybody may have copied it, make a new one.",
        )
    try:
        key = serialization.load_pem_private_key(_read(path, "signing key"), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file.

    Raises:
        CertificateError: there is none, or it is no Ed25519 key.
    """
    try:
        key = serialization.load_pem_public_key(_read(path, "public key"))
    except ValueError as error:
        raise _no_key(path, "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """`SHA256:` and the digest of a public key, as ssh-keygen writes it."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def sign(certificate: Certificate, key: Ed25519PrivateKey) -> bytes:
    """The file of a certificate."""
    facts = certificate.model_dump(mode="json")
    return _written(
        {
            "certificate": facts,
            "key": fingerprint(key.public_key()),
            "signature": base64.b64encode(key.sign(CONTEXT + canonical(facts))).decode(),
        }
    )


def check(data: bytes, key: Ed25519PublicKey, estate: str | None = None) -> CertificateCheck:
    """Whether a file's bytes are a certificate that this key has signed.

    Args:
        data: the file as it is.
        key: whose signature is wanted.
        estate: whose certificate is wanted; None takes any.
    """
    own = fingerprint(key)
    try:
        facts, signature, named = _opened(data)
    except ValueError as error:
        return CertificateCheck(valid=False, problem=str(error), key=own)
    problem = ""
    if named != own:
        problem = f"It names the key {named}, and not the one that was given."
    else:
        try:
            key.verify(signature, CONTEXT + canonical(facts))
        except InvalidSignature:
            problem = "The signature is not of these facts: something was changed."
    if problem:
        return CertificateCheck(valid=False, problem=problem, key=own)
    try:
        certificate = Certificate.model_validate(facts)
    except ValidationError as error:
        return CertificateCheck(valid=False, problem=f"It is signed and unreadable: {error}")
    if certificate.version != VERSION or certificate.kind != "failback certificate":
        problem = f"It is version {certificate.version}, which this failback does not know."
    elif estate is not None and certificate.estate != estate:
        problem = f"It is of the estate {certificate.estate}, not of {estate}."
    if problem:
        return CertificateCheck(valid=False, problem=problem, key=own)
    return CertificateCheck(valid=True, key=own, certificate=certificate)


def read_unchecked(path: Path) -> tuple[Certificate, str]:
    """What a file says, and the fingerprint it names; nothing about it was checked.

    Raises:
        CertificateError: it is no certificate.
    """
    try:
        facts, _, named = _opened(_read(path, "certificate"))
        return Certificate.model_validate(facts), named
    except ValueError as error:
        raise CertificateError(
            f"{path} is no certificate: {error}", "Name a file that failback wrote."
        ) from error


def read_file(path: Path) -> bytes:
    """A certificate's bytes.

    Raises:
        CertificateError: it cannot be read.
    """
    return _read(path, "certificate")


def canonical(facts: dict[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys and no space, in ASCII."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _opened(data: bytes) -> tuple[dict[str, Any], bytes, str]:
    """Facts, signature and named key of a file that is written as one is."""
    if len(data) > _MOST_BYTES:
        raise ValueError("It is too large.")
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"It is not valid JSON: {error}.") from error
    if not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise ValueError("It has other members than certificate, key and signature.")
    facts, named, text = document["certificate"], document["key"], document["signature"]
    kinds = [type(member) for member in (facts, named, text)]
    if kinds != [dict, str, str]:
        raise ValueError("Its members are of other kinds than those of a certificate.")
    signature = base64.b64decode(text, validate=True)
    # What cannot be told apart by reading it is told apart by writing it again.
    if base64.b64encode(signature).decode() != text or _written(document) != data:
        raise ValueError("It is written in another way than failback writes: it was changed.")
    return facts, signature, named


def _written(document: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(document, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise ValueError("It has a number that JSON does not know.") from error


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"The {what} {path} cannot be read: {error.strerror}.", "Name a file that is there."
        ) from error


def _no_key(path: Path, kind: str) -> CertificateError:
    return CertificateError(
        f"{path} is no {kind} Ed25519 key in PEM form.",
        "Make a pair with `failback certificate keygen`.",
    )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
