"""Makes the source's project trust the key that the target signs with, by the management API."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from failback.errors import ConfigurationError
from failback.models.common import Outcome, Side
from failback.models.system import Item
from failback.providers.auth.side import AuthSide
from failback.providers.auth.tokens import mark, name_of, thumbprint
from failback.providers.supabase.answers import SigningKey, SigningKeyStatus

_ALGORITHMS = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}
_TAKEN = frozenset({"kid", "kty", "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi"})
"""Members of a key that the management API takes; it refuses others."""
_POLL_SECONDS = 0.5
_NAME = "signing_key"


class SigningKeyStore(Protocol):
    """Where a project's signing keys are kept: `SupabaseManagement`, as far as that matters."""

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every key of the project's auth."""
        ...

    async def create_signing_key(
        self,
        algorithm: str,
        private_jwk: Mapping[str, Any] | None = None,
        status: SigningKeyStatus = SigningKeyStatus.STANDBY,
    ) -> SigningKey:
        """Import a key."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class KeyImport:
    """Imports one key.

    Args:
        store: of the source's project.
        file: the target's private key, as a JWK.
        wait_seconds: how long the source may take until it trusts the key.
    """

    def __init__(self, store: SigningKeyStore, file: Path, wait_seconds: float) -> None:
        self._store = store
        self._file = file
        self._wait = wait_seconds

    async def make_trusted(self, sides: Mapping[Side, AuthSide]) -> Item:
        """Import the key where the project lacks it, and wait until the source publishes it.

        As `standby` it signs nothing, and tokens of it are taken.

        Raises:
            ConfigurationError: the file holds no private key.
            UnreachableError, CredentialsError, MissingRightError, PlatformRefusedError: as the
                management API answers.
        """
        key = self._read()
        published = {thumbprint(each): each for each in await sides[Side.TARGET].keys()}
        twin = published.get(thumbprint(key))
        if twin is None:
            return Item(
                name=_NAME,
                outcome=Outcome.FAILED,
                detail=f"{self._file} is no key that the target publishes: it would prove nothing",
            )
        if "kid" in twin:
            # Tokens name their key so, whatever the file calls it.
            key["kid"] = twin["kid"]
        there = [
            each
            for each in await self._store.signing_keys()
            if each.public_jwk is not None
            and mark(each.public_jwk) == mark(key)
            and each.status is not SigningKeyStatus.REVOKED
        ]
        if not there:
            await self._store.create_signing_key(_ALGORITHMS[str(key["kty"])], key)
        deadline = time.monotonic() + self._wait
        while mark(key) not in {mark(each) for each in await sides[Side.SOURCE].keys()}:
            if time.monotonic() > deadline:
                return Item(
                    name=_NAME,
                    outcome=Outcome.INCONCLUSIVE,
                    changed=not there,
                    detail=f"{name_of(key)} was imported, and the source does not publish it after"
                    f" {self._wait:g} s",
                )
            await asyncio.sleep(min(_POLL_SECONDS, self._wait))
        return Item(
            name=_NAME,
            outcome=Outcome.SUCCEEDED,
            changed=not there,
            detail=f"{name_of(key)} {'was there' if there else 'imported'}",
        )

    async def aclose(self) -> None:
        """Give back connections."""
        await self._store.aclose()

    def _read(self) -> dict[str, Any]:
        cure = "Write the target's private signing key there as one JWK (EC, RSA or OKP)."
        try:
            key = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            # A parser's text may quote the key.
            raise ConfigurationError(
                f"auth.signing_key {self._file} cannot be read ({type(error).__name__}).", cure
            ) from None
        if not isinstance(key, dict) or key.get("kty") not in _ALGORITHMS or "d" not in key:
            raise ConfigurationError(
                f"auth.signing_key {self._file} holds no private asymmetric key.", cure
            )
        return {name: value for name, value in key.items() if name in _TAKEN}
