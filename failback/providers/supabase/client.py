"""Supabase's management API, as far as a rollback needs it.

Paths, bodies and answers are those of the published description (OpenAPI, version 1 of the API).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from failback.errors import ConfigurationError, PlatformRefusedError
from failback.providers.supabase.answers import (
    Backups,
    Function,
    Project,
    RestorePoint,
    Secret,
    SigningKey,
    SigningKeys,
    SigningKeyStatus,
)
from failback.providers.supabase.transport import ManagementTransport
from failback.sections.supabase import SupabaseConfig

_Answer = TypeVar("_Answer")
_FUNCTIONS = TypeAdapter(tuple[Function, ...])
_SECRETS = TypeAdapter(tuple[Secret, ...])
_FUNCTION = TypeAdapter(Function)
_KEY = TypeAdapter(SigningKey)
_KEYS = TypeAdapter(SigningKeys)
_LONGEST_NAME = 20
_RESERVED = "SUPABASE_"


class SupabaseManagement:
    """The project of one estate. Every call raises what `ManagementTransport.send` raises.

    Args:
        config: the project, its token and its API's address.
        transport: what really sends; None is the network.
        pause_seconds: before a second try.
    """

    def __init__(
        self,
        config: SupabaseConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        pause_seconds: float = 0.5,
    ) -> None:
        self.ref = config.ref
        self._api = ManagementTransport(config, transport, pause_seconds)

    async def project(self) -> Project:
        """The project, and whether it is up."""
        return _read(TypeAdapter(Project), await self._api.send("GET", ""))

    async def functions(self) -> tuple[Function, ...]:
        """Every function of the project."""
        return _read(_FUNCTIONS, await self._api.send("GET", "/functions"))

    async def function(self, slug: str) -> Function:
        """One function; raises PlatformMissingError where it is not deployed."""
        return _read(_FUNCTION, await self._api.send("GET", f"/functions/{_segment(slug)}"))

    async def update_function(
        self, slug: str, *, name: str | None = None, verify_jwt: bool | None = None
    ) -> Function:
        """Change a function's name, or whether it wants a token; its code stays."""
        body = {"name": name, "verify_jwt": verify_jwt}
        answer = await self._api.send(
            "PATCH",
            f"/functions/{_segment(slug)}",
            json={key: value for key, value in body.items() if value is not None},
        )
        return _read(_FUNCTION, answer)

    async def deploy_function(
        self, slug: str, files: Mapping[str, bytes], *, entrypoint: str, verify_jwt: bool = True
    ) -> Function:
        """Deploy a function's source, in place of what is deployed.

        Args:
            slug: the function's name in its address.
            files: contents by path, relative to one folder.
            entrypoint: which of them is started.
            verify_jwt: whether the platform refuses requests without a good token.
        """
        metadata = {"entrypoint_path": entrypoint, "name": slug, "verify_jwt": verify_jwt}
        parts = [
            ("file", (path, content, "application/octet-stream"))
            for path, content in sorted(files.items())
        ]
        answer = await self._api.send(
            "POST",
            "/functions/deploy",
            params={"slug": slug},
            data={"metadata": json.dumps(metadata)},
            files=parts,
        )
        return _read(_FUNCTION, answer)

    async def delete_function(self, slug: str) -> None:
        """Take a function away. Its code is gone with it."""
        await self._api.send("DELETE", f"/functions/{_segment(slug)}")

    async def secrets(self) -> tuple[Secret, ...]:
        """Names and digests of the secrets that functions are given."""
        return _read(_SECRETS, await self._api.send("GET", "/secrets"))

    async def put_secrets(self, values: Mapping[str, str]) -> None:
        """Set secrets; those that have other names stay.

        Raises:
            ConfigurationError: a name begins with `SUPABASE_`, which the platform keeps for itself.
        """
        reserved = sorted(name for name in values if name.startswith(_RESERVED))
        if reserved:
            raise ConfigurationError(
                f"Supabase sets {', '.join(reserved)} itself.",
                f"Give secrets names that do not begin with {_RESERVED}.",
            )
        body = [{"name": name, "value": value} for name, value in values.items()]
        await self._api.send("POST", "/secrets", json=body)

    async def delete_secrets(self, names: Sequence[str]) -> None:
        """Take secrets away; a name that is not there is no error."""
        await self._api.send("DELETE", "/secrets", json=list(names))

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every key of the project's auth, revoked ones too."""
        return _read(_KEYS, await self._api.send("GET", "/config/auth/signing-keys")).keys

    async def create_signing_key(
        self,
        algorithm: str,
        private_jwk: Mapping[str, Any] | None = None,
        status: SigningKeyStatus = SigningKeyStatus.STANDBY,
    ) -> SigningKey:
        """Import a key, or have one made.

        Args:
            algorithm: `ES256`, `RS256`, `EdDSA` or `HS256`.
            private_jwk: the key to import, as RFC 7517 writes it; None has one made.
            status: `standby` makes tokens of the key valid; `in_use` signs with it from now on.
        """
        body: dict[str, Any] = {"algorithm": algorithm, "status": status.value}
        if private_jwk is not None:
            body["private_jwk"] = dict(private_jwk)
        answer = await self._api.send(
            "POST", "/config/auth/signing-keys", json=body, repeatable=False
        )
        return _read(_KEY, answer)

    async def update_signing_key(self, key_id: str, status: SigningKeyStatus) -> SigningKey:
        """Use, retire or revoke a key."""
        answer = await self._api.send(
            "PATCH",
            f"/config/auth/signing-keys/{_segment(key_id)}",
            json={"status": status.value},
        )
        return _read(_KEY, answer)

    async def delete_signing_key(self, key_id: str) -> SigningKey:
        """Remove a key that is not in use."""
        answer = await self._api.send("DELETE", f"/config/auth/signing-keys/{_segment(key_id)}")
        return _read(_KEY, answer)

    async def legacy_signing_key(self) -> SigningKey:
        """The JWT secret as a signing key; raises PlatformMissingError before its import."""
        return _read(_KEY, await self._api.send("GET", "/config/auth/signing-keys/legacy"))

    async def import_legacy_signing_key(self) -> SigningKey:
        """Make the project's JWT secret one of its signing keys, so that others can join it."""
        answer = await self._api.send("POST", "/config/auth/signing-keys/legacy", repeatable=False)
        return _read(_KEY, answer)

    async def backups(self) -> Backups:
        """What the project's database can be restored from."""
        return _read(TypeAdapter(Backups), await self._api.send("GET", "/database/backups"))

    async def restore_to(self, unix_seconds: int) -> None:
        """Begin to take the whole database back to a point in time, in place.

        The project is down meanwhile; `project` says `RESTORING`.

        Args:
            unix_seconds: seconds since 1970, inside of `Backups.physical_backup_data`.
        """
        await self._api.send(
            "POST",
            "/database/backups/restore-pitr",
            json={"recovery_time_target_unix": unix_seconds},
            repeatable=False,
        )

    async def create_restore_point(self, name: str) -> RestorePoint:
        """Begin to make a named point that `undo` can go back to; at most 20 characters."""
        answer = await self._api.send(
            "POST",
            "/database/backups/restore-point",
            json={"name": _point(name)},
            repeatable=False,
        )
        return _read(TypeAdapter(RestorePoint), answer)

    async def restore_point(self, name: str) -> RestorePoint:
        """A restore point and whether it is ready."""
        answer = await self._api.send(
            "GET", "/database/backups/restore-point", params={"name": _point(name)}
        )
        return _read(TypeAdapter(RestorePoint), answer)

    async def undo(self, name: str) -> None:
        """Begin to take the database back to a restore point."""
        await self._api.send(
            "POST", "/database/backups/undo", json={"name": _point(name)}, repeatable=False
        )

    async def aclose(self) -> None:
        """Give back connections."""
        await self._api.aclose()


def _read(adapter: TypeAdapter[_Answer], answer: httpx.Response) -> _Answer:
    try:
        return adapter.validate_json(answer.content)
    except ValidationError as error:
        places = sorted({".".join(map(str, each["loc"])) or "all" for each in error.errors()})
        raise PlatformRefusedError(
            f"Supabase's management API answered {answer.request.method}"
            f" {answer.request.url.path} in a form that is not known: {', '.join(places)[:200]}.",
            "Is supabase.api_url the management API? Else a newer failback may know the form.",
        ) from error


def _segment(name: str) -> str:
    """A name as one segment of a path."""
    if not name or not all(letter.isalnum() or letter in "_-" for letter in name):
        raise ConfigurationError(
            f"{name!r} is no name that Supabase knows.", "Use letters, digits, `_` and `-`."
        )
    return name


def _point(name: str) -> str:
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ConfigurationError(
            f"A restore point's name has 1 to {_LONGEST_NAME} characters; {name!r} does not."
        )
    return name
