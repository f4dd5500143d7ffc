"""Signing keys of the project's auth: imported, made, used, retired, revoked."""

import base64
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import BaseModel, TypeAdapter

from failback.lab.accounts import write_private
from failback.lab.management.kept import Kept
from failback.lab.management.refusals import RefusalError, body_of

Status = Literal["in_use", "previously_used", "revoked", "standby"]
_KINDS = {"EdDSA": "OKP", "ES256": "EC", "RS256": "RSA", "HS256": "oct"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "status"})
_RSA_BITS = 2048


class _Create(BaseModel):
    algorithm: Literal["EdDSA", "ES256", "RS256", "HS256"]
    status: Literal["in_use", "standby"] = "standby"
    private_jwk: dict[str, Any] | None = None


class _Update(BaseModel):
    status: Status


_CREATE = TypeAdapter(_Create)
_UPDATE = TypeAdapter(_Update)


class SigningKeys:
    """Handlers under `/config/auth/signing-keys`.

    Args:
        kept: when each key was made, and which is the legacy one.
        file: the keys themselves, which the project's auth reads anew for every token.
        jwt_secret: what signed before there were keys.
    """

    def __init__(self, kept: Kept, file: Path, jwt_secret: str) -> None:
        self._kept = kept
        self._file = file
        self._jwt_secret = jwt_secret

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """What the application serves of this part."""
        path = f"{prefix}/config/auth/signing-keys"
        return [
            web.get(path, self.read_all),
            web.post(path, self.create),
            web.get(f"{path}/legacy", self.legacy),
            web.post(f"{path}/legacy", self.import_legacy),
            web.get(f"{path}/{{id}}", self.read),
            web.patch(f"{path}/{{id}}", self.update),
            web.delete(f"{path}/{{id}}", self.delete),
        ]

    async def read_all(self, _request: web.Request) -> web.Response:
        """Every key, revoked ones too."""
        return web.json_response({"keys": [self._shown(key) for key in self._keys()]})

    async def read(self, request: web.Request) -> web.Response:
        """One key."""
        return web.json_response(self._shown(self._one(request)))

    async def create(self, request: web.Request) -> web.Response:
        """Import a key, or make one."""
        asked = await body_of(request, _CREATE)
        key = asked.private_jwk or _made(asked.algorithm)
        if key.get("kty") != _KINDS[asked.algorithm]:
            raise RefusalError(400, f"private_jwk: {asked.algorithm} wants another kty")
        key = {"kid": str(uuid.uuid4()), **key, "alg": asked.algorithm}
        if any(known["kid"] == key["kid"] for known in self._keys()):
            raise RefusalError(409, "A signing key of this kid is there already")
        try:
            jwt.PyJWK.from_dict(key)
        except jwt.PyJWTError as error:
            raise RefusalError(400, f"private_jwk: {error}") from error
        return self._added(key, asked.status)

    async def legacy(self, _request: web.Request) -> web.Response:
        """The JWT secret as a key; 404 before its import."""
        legacy = self._kept.state["legacy_key"]
        for key in self._keys():
            if key["kid"] == legacy:
                return web.json_response(self._shown(key))
        raise RefusalError(404, "The legacy JWT secret has not been migrated")

    async def import_legacy(self, _request: web.Request) -> web.Response:
        """Make the JWT secret one of the keys."""
        if self._kept.state["legacy_key"] is not None:
            raise RefusalError(409, "The legacy JWT secret has been migrated already")
        encoded = base64.urlsafe_b64encode(self._jwt_secret.encode()).decode().rstrip("=")
        key = {"kid": str(uuid.uuid4()), "kty": "oct", "alg": "HS256", "k": encoded}
        with self._kept.changing() as state:
            state["legacy_key"] = key["kid"]
        return self._added(key, "in_use")

    async def update(self, request: web.Request) -> web.Response:
        """Use, retire or revoke a key. What was in use before is retired."""
        status = (await body_of(request, _UPDATE)).status
        key = self._one(request)
        if key["status"] == "in_use" and status != "in_use":
            raise RefusalError(400, "The key in use cannot be retired: use another one first")
        self._write([{**one, "status": status} if one == key else one for one in self._keys()], key)
        self._touch(key["kid"])
        return web.json_response(self._shown(self._one(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a key that is not in use."""
        key = self._one(request)
        if key["status"] == "in_use":
            raise RefusalError(400, "The key in use cannot be removed: use another one first")
        shown = self._shown(key)
        self._write([one for one in self._keys() if one != key])
        return web.json_response(shown)

    def _added(self, key: dict[str, Any], status: Status) -> web.Response:
        added = {**key, "status": status}
        self._touch(key["kid"])
        self._write([*self._keys(), added], added)
        return web.json_response(self._shown(added), status=201)

    def _write(self, keys: list[dict[str, Any]], now: dict[str, Any] | None = None) -> None:
        """Write all keys; where `now` is in use, the others no longer are."""
        in_use = [key["kid"] for key in keys if key["status"] == "in_use"]
        if now is not None and now["kid"] in in_use:
            keys = [
                {**key, "status": "previously_used"}
                if key["kid"] in in_use and key["kid"] != now["kid"]
                else key
                for key in keys
            ]
        write_private(self._file, json.dumps({"keys": keys}, indent=2))

    def _touch(self, kid: str) -> None:
        now = datetime.now(UTC).isoformat()
        with self._kept.changing() as state:
            times = state["key_times"].setdefault(kid, {"created_at": now})
            times["updated_at"] = now

    def _keys(self) -> list[dict[str, Any]]:
        try:
            keys: list[dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8"))["keys"]
        except FileNotFoundError:
            return []
        return keys

    def _one(self, request: web.Request) -> dict[str, Any]:
        for key in self._keys():
            if key["kid"] == request.match_info["id"]:
                return key
        raise RefusalError(404, "Signing key not found")

    def _shown(self, key: dict[str, Any]) -> dict[str, Any]:
        # A key that somebody wrote into the file by hand has no times of its own.
        made = datetime.fromtimestamp(self._kept.state["created_at"], UTC).isoformat()
        times = {"created_at": made, "updated_at": made}
        public = {name: value for name, value in key.items() if name not in _PRIVATE}
        return {
            "id": key["kid"],
            "algorithm": key.get("alg") or next(a for a, k in _KINDS.items() if k == key["kty"]),
            "status": key["status"],
            "public_jwk": None if key["kty"] == "oct" else public,
            **times,
            **self._kept.state["key_times"].get(key["kid"], {}),
        }


def _made(algorithm: str) -> dict[str, Any]:
    """A new private key."""
    match algorithm:
        case "ES256":
            made = jwt.algorithms.ECAlgorithm.to_jwk(
                ec.generate_private_key(ec.SECP256R1()), as_dict=True
            )
        case "RS256":
            made = jwt.algorithms.RSAAlgorithm.to_jwk(
                rsa.generate_private_key(65_537, _RSA_BITS), as_dict=True
            )
        case "EdDSA":
            made = jwt.algorithms.OKPAlgorithm.to_jwk(
                ed25519.Ed25519PrivateKey.generate(), as_dict=True
            )
        case _:
            made = jwt.algorithms.HMACAlgorithm.to_jwk(uuid.uuid4().bytes * 2, as_dict=True)
    return {name: value for name, value in made.items() if name != "key_ops"}
