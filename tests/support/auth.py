"""An auth bridge with both sides behind it: in memory, and on two real products."""

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql

from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.providers.auth import (
    BridgeSettings,
    FakeAuth,
    GoTrueBridge,
    HttpAuthSide,
    fake_bridge,
)
from failback.providers.auth.directory import DatabaseDirectory
from failback.providers.auth.importing import KeyImport
from failback.providers.auth.sealing import Secrets
from failback.providers.auth.tokens import thumbprint
from failback.providers.supabase.answers import SigningKey, SigningKeyStatus
from failback.reverse_sync.connections import Servers
from failback.sections.auth import AuthSideConfig

from support.openapi import DESCRIPTIONS, Watch, WatchedTransport, described
from support.products import Products

AUTH_TABLES = (
    "users",
    "identities",
    "sessions",
    "refresh_tokens",
    "mfa_factors",
    "one_time_tokens",
    "audit_log_entries",
)
DESCRIPTION = "supabase-auth-api.yaml"
_NOT_DESCRIBED = {("POST", "/auth/v1/admin/users"), ("GET", "/auth/v1/.well-known/jwks.json")}
"""What GoTrue serves and its published description leaves out."""
INTERVAL = 0.2


def new_key() -> dict[str, Any]:
    """A private signing key as a JWK."""
    made = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(
        ec.generate_private_key(ec.SECP256R1()), as_dict=True
    )
    return {**made, "kid": str(uuid.uuid4()), "alg": "ES256"}


def public(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "d"}


class Subject(Protocol):
    """What a contract needs to do to both sides, besides asking the bridge."""

    bridge: GoTrueBridge

    async def sign_up(self, side: Side, email: str) -> str:
        """A customer with a session; its id."""
        ...

    def sync(self) -> None:
        """Carry the target's rows to the source."""
        ...

    def fence(self, *sides: Side) -> None:
        """Let just these sides refuse writes."""
        ...

    def sign_with(self, key: dict[str, Any]) -> None:
        """Let the target sign with a key of its own from now on."""
        ...

    def trust(self, key: Mapping[str, Any]) -> None:
        """Let the source take tokens of a key."""
        ...

    def rename(self, side: Side, user: str, email: str) -> None:
        """Give a user another address on one side."""
        ...

    def forget_rotation(self) -> None:
        """Let the source take every refresh token for unused."""
        ...

    def users(self, side: Side) -> set[str]:
        """Ids of one side's users."""
        ...

    def importing(self, file: Path) -> GoTrueBridge:
        """A bridge that may import the key in a file."""
        ...


class KeyStore:
    """A project's signing keys, which the source trusts once they are imported."""

    def __init__(self, subject: Subject) -> None:
        self.created: list[Mapping[str, Any]] = []
        self._subject = subject

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        return tuple(_listed(key) for key in self.created)

    async def create_signing_key(
        self,
        algorithm: str,
        private_jwk: Mapping[str, Any] | None = None,
        status: SigningKeyStatus = SigningKeyStatus.STANDBY,
    ) -> SigningKey:
        assert private_jwk is not None
        assert (algorithm, status) == ("ES256", SigningKeyStatus.STANDBY)
        self.created.append(private_jwk)
        self._subject.trust(private_jwk)
        return _listed(private_jwk)

    async def aclose(self) -> None:
        """Nothing to give back."""


def _listed(key: Mapping[str, Any]) -> SigningKey:
    at = "2026-01-01T00:00:00Z"
    return SigningKey.model_validate(
        {
            "id": key["kid"],
            "algorithm": "ES256",
            "status": "standby",
            "public_jwk": public(key),
            "created_at": at,
            "updated_at": at,
        }
    )


class InMemory:
    """The fake."""

    def __init__(self) -> None:
        self.fake = FakeAuth()
        self.store = KeyStore(self)
        self.bridge = fake_bridge(self.fake)

    async def sign_up(self, side: Side, email: str) -> str:
        there = self.fake.sides[side]
        await there.create_user(email, "a password")
        session = await there.sign_in(email, "a password")
        return str(session.body["user"]["id"])

    def sync(self) -> None:
        self.fake.sync()

    def fence(self, *sides: Side) -> None:
        for side, there in self.fake.sides.items():
            there.fenced = side in sides

    def sign_with(self, key: dict[str, Any]) -> None:
        target = self.fake.sides[Side.TARGET]
        target.key, target.published = thumbprint(key), (public(key),)
        target.trusted.add(target.key)

    def trust(self, key: Mapping[str, Any]) -> None:
        source = self.fake.sides[Side.SOURCE]
        source.published += (public(key),)
        source.trusted.add(thumbprint(key))

    def rename(self, side: Side, user: str, email: str) -> None:
        rows = self.fake.sides[side].rows
        rows.users[user] = (email, rows.users[user][1])

    def forget_rotation(self) -> None:
        source = self.fake.sides[Side.SOURCE]
        source.rows.tokens = {name: token.unused() for name, token in source.rows.tokens.items()}

    def users(self, side: Side) -> set[str]:
        return set(self.fake.sides[side].rows.users)

    def importing(self, file: Path) -> GoTrueBridge:
        return fake_bridge(self.fake, KeyImport(self.store, file, 5.0))


class Described(WatchedTransport):
    """Holds requests to the description, but for those that it leaves out."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) in _NOT_DESCRIBED:
            return await self._inner.handle_async_request(request)
        return await super().handle_async_request(request)


def auth_watch() -> Watch | None:
    """Keeps what breaks the description; None where that is missing.

    It leaves out what `/user` answers to a bad token, and a gateway's 503.
    """
    if not (DESCRIPTIONS / DESCRIPTION).is_file():
        return None
    return Watch(described(DESCRIPTION), unlisted=frozenset({403, 503}))


class OnProducts:
    """Two products of the lab, each on a real database."""

    def __init__(self, products: Products, watch: Watch | None = None) -> None:
        self.products = products
        self.store = KeyStore(self)
        self._watch = watch
        self._made: list[GoTrueBridge] = []
        self._fenced: set[Side] = set()
        self.bridge = self._bridge(None)

    async def sign_up(self, side: Side, email: str) -> str:
        with self.products.client(side) as client:
            body = {"email": email, "password": "correct horse"}
            answer = client.post("/auth/v1/signup", json=body)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["user"]["id"])

    def sync(self) -> None:
        copy_auth(self.products.databases)

    def fence(self, *sides: Side) -> None:
        changed = set(sides) ^ self._fenced
        self._fenced = set(sides)
        for side in changed:
            with self._admin(side) as admin:
                name = sql.Identifier(admin.info.dbname)
                admin.execute(
                    sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(
                        name, sql.Literal("on" if side in sides else "off")
                    )
                )
                admin.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'product'"
                )
            self._until_it_answers(side)

    def sign_with(self, key: dict[str, Any]) -> None:
        self._keep(Side.TARGET, {**key, "status": "in_use"})

    def trust(self, key: Mapping[str, Any]) -> None:
        self._keep(Side.SOURCE, {**key, "status": "standby"})

    def rename(self, side: Side, user: str, email: str) -> None:
        with self._admin(side) as admin:
            admin.execute("UPDATE auth.users SET email = %s WHERE id = %s", [email, user])

    def forget_rotation(self) -> None:
        with self._admin(Side.SOURCE) as admin:
            admin.execute("UPDATE auth.refresh_tokens SET revoked = false")

    def users(self, side: Side) -> set[str]:
        with self._admin(side) as admin:
            return {user for (user,) in admin.execute("SELECT id::text FROM auth.users")}

    def importing(self, file: Path) -> GoTrueBridge:
        return self._bridge(KeyImport(self.store, file, 5.0))

    async def aclose(self) -> None:
        for bridge in self._made:
            await bridge.aclose()

    def clean(self) -> None:
        """Take back everything that a test has done."""
        self.fence()
        for side in Side:
            self.products.jwt_keys(side).unlink(missing_ok=True)
            with self._admin(side) as admin:
                admin.execute("TRUNCATE auth.users, auth.audit_log_entries CASCADE")

    def _bridge(self, importing: KeyImport | None) -> GoTrueBridge:
        both, databases = self.products, self.products.databases
        made = GoTrueBridge(
            {side: self._side(side) for side in Side},
            DatabaseDirectory(Servers(databases.source_dsn, databases.target_dsn)),
            BridgeSettings(
                secrets=Secrets("shop", both.service_key, "failback.invalid"),
                reuse_interval_seconds=INTERVAL,
                look_again_seconds=0.05,
            ),
            importing,
        )
        self._made.append(made)
        return made

    def _side(self, side: Side) -> HttpAuthSide:
        config = AuthSideConfig.model_validate(
            {
                "url": f"{self.products.url(side)}/auth/v1",
                "anon_key": self.products.anon_key,
                "service_key": self.products.service_key,
            }
        )
        inner = httpx.AsyncHTTPTransport()
        transport = inner if self._watch is None else Described(inner, self._watch)
        return HttpAuthSide(side, config, 20.0, transport)

    def _keep(self, side: Side, key: dict[str, Any]) -> None:
        self.products.jwt_keys(side).write_text(json.dumps({"keys": [key]}))

    def _admin(self, side: Side) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self.products.databases.admin_dsn(side),
            autocommit=True,
            options="-c default_transaction_read_only=off",
        )

    def _until_it_answers(self, side: Side) -> None:
        deadline = time.monotonic() + 20
        while self.products.status(side) != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def copy_auth(databases: DatabasePair) -> None:
    """Make the source's auth tables what the target's are; generated columns are computed anew."""
    with (
        psycopg.connect(databases.target_admin_dsn) as target,
        psycopg.connect(
            databases.source_admin_dsn, options="-c default_transaction_read_only=off"
        ) as source,
    ):
        source.execute("TRUNCATE auth.users, auth.audit_log_entries CASCADE")
        for table in AUTH_TABLES:
            name = sql.Identifier("auth", table)
            columns = sql.SQL(", ").join(
                sql.Identifier(column)
                for (column,) in target.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'auth'"
                    " AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
                    [table],
                )
            )
            out = sql.SQL("COPY {} ({}) TO STDOUT").format(name, columns)
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns)
            with target.cursor().copy(out) as rows, source.cursor().copy(into) as sink:
                for chunk in rows:
                    sink.write(chunk)
        source.execute("SELECT setval('auth.refresh_tokens_id_seq', 1000)")
