"""Our own user's address, password and tokens: derived or encrypted, so that none is stored.

Keys are derived by HKDF (RFC 5869) from the target's service key, which every worker of the estate
has and nobody else; tokens travel as a Fernet token. A payload that leaks opens no session.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field, ValidationError

from failback.errors import ConfigurationError
from failback.models.common import Payload

_LENGTH = 32


class SealedSession(Payload):
    """One session of our user. Never leaves a worker unencrypted."""

    access: str
    refresh: str


class SealedTokens(Payload):
    """What a probe holds."""

    sessions: tuple[SealedSession, ...] = Field(min_length=1)
    """Alike, newest first; each is good for one proof that a refresh works."""
    rotated: str
    """A refresh token that was swapped twice on the target."""
    expires_at: float
    """When the access tokens end, in seconds since 1970."""


class Secrets:
    """Derives what our users need.

    Args:
        estate: its name; two estates on one server have different users.
        service_key: the target's.
        domain: of the users' addresses.
    """

    def __init__(self, estate: str, service_key: str, domain: str) -> None:
        self._estate = estate
        self._key = service_key.encode()
        self._domain = domain

    def email(self, purpose: str) -> str:
        """The address of the user for one purpose, such as a rollback's id."""
        digest = hashlib.sha256(f"{self._estate}\0{purpose}".encode()).hexdigest()
        return f"failback-{digest[:24]}@{self._domain}".lower()

    def password(self, purpose: str) -> str:
        """That user's password."""
        return base64.urlsafe_b64encode(self._derived(f"password\0{purpose}")).decode()

    def seal(self, tokens: SealedTokens) -> str:
        """Encrypt tokens for this estate's workers."""
        return self._fernet().encrypt(tokens.model_dump_json().encode()).decode()

    def open(self, sealed: str) -> SealedTokens:
        """Decrypt them.

        Raises:
            ConfigurationError: they were sealed with another key, or are no such thing.
        """
        try:
            return SealedTokens.model_validate_json(self._fernet().decrypt(sealed.encode()))
        except (InvalidToken, ValidationError) as error:
            raise ConfigurationError(
                "The session that was opened on the target cannot be read: it was sealed with"
                " another key.",
                "Give every worker the same estate name and auth.target.service_key.",
            ) from error

    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._derived("tokens")))

    def _derived(self, use: str) -> bytes:
        derivation = HKDF(
            algorithm=hashes.SHA256(),
            length=_LENGTH,
            salt=None,
            info=f"failback auth\0{self._estate}\0{use}".encode(),
        )
        return derivation.derive(self._key)
