"""Connections to the two servers, and their failures in an operator's words.

Changes when a server asks for something else at connecting or words a refusal differently.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    FailbackError,
    MissingRightError,
    SlotBusyError,
    UnreachableError,
)
from failback.models.common import Side

APPLICATION_NAME = "failback"

Connection = psycopg.Connection[TupleRow]

# A dead peer is noticed after about a quarter of a minute, also while nothing is being sent.
_KEEPALIVE: Mapping[str, Any] = MappingProxyType(
    {
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
)

# A role or database may carry settings of its own; what failback relies on is set explicitly.
# Values travel as text between two servers, so their format must not depend on either.
_SESSION = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET lock_timeout = 0;
SET search_path = pg_catalog;
SET row_security = off;
SET client_encoding = 'UTF8';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET xmloption = 'content';
SET lc_monetary = 'C';
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET default_transaction_deferrable = off;
SELECT pg_catalog.set_config(name, '0', false)
FROM pg_catalog.pg_settings
WHERE name IN ('transaction_timeout', 'idle_session_timeout');
"""

# libpq hands over no SQLSTATE for a refused connection, only the server's sentence.
_CREDENTIALS = (
    "password authentication failed",
    "no password supplied",
    "authentication failed for user",
    "pg_hba.conf",
    "is not permitted to log in",
)
_EXHAUSTED = "53"
_ROLE_MISSING = ('role "', "does not exist")


@dataclass(frozen=True)
class Servers:
    """Where the two databases are, as failback's own roles reach them.

    Args:
        source_dsn: libpq connection string of the source.
        target_dsn: libpq connection string of the target.
        connect_timeout_seconds: after so long an attempt to connect is given up.
    """

    source_dsn: str = field(repr=False)
    target_dsn: str = field(repr=False)
    connect_timeout_seconds: float = 5.0

    def connect(self, side: Side, *, autocommit: bool = False) -> Connection:
        """Open a session with everything set that failback relies on.

        Raises:
            UnreachableError: nobody answers, or the server is starting, stopping or full.
            CredentialsError: the server refused the user or the password.
            MissingRightError: the user may not connect to this database.
            ConfigurationError: the connection string is none, or names no such database.
        """
        parameters = self._parameters(side)
        try:
            connection = psycopg.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            raise self._refused(side, error) from error
        try:
            connection.execute(_SESSION)
            connection.autocommit = autocommit
        except psycopg.Error as error:
            connection.close()
            raise self.explained(side, error) from error
        return connection

    def user(self, side: Side) -> str:
        """Whom failback connects as."""
        return str(self._parameters(side).get("user") or "failback's role")

    def describe(self, side: Side) -> str:
        """`source database app on db.example.org:5432 as user failback`, for messages."""
        parameters = self._parameters(side)
        host = parameters.get("host") or parameters.get("hostaddr") or "the local socket"
        port = parameters.get("port") or 5432
        user = parameters.get("user") or "the system's user"
        database = parameters.get("dbname") or user
        return f"{side.value} database {database} on {host}:{port} as user {user}"

    @contextmanager
    def explaining(self, side: Side) -> Iterator[None]:
        """Turn a server's errors inside the block into failback's own classes.

        A lost connection, a missing right, a lock and an exhausted server are turned; others are
        bugs, and stay.
        """
        try:
            yield
        except psycopg.Error as error:
            explained = self.explained(side, error)
            if explained is error:
                raise
            raise explained from error

    def explained(self, side: Side, error: psycopg.Error) -> FailbackError | psycopg.Error:
        """The operator's error for a server's one, or that one itself where there is none."""
        where = self.describe(side)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return MissingRightError(
                f"The {where} lacks a right: {_sentence(error)}.",
                "Grant it, then run the same command again; `failback check` lists every right.",
            )
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return SlotBusyError(
                f"A table of the {where} stays locked: {_sentence(error)}.",
                "It goes on by itself when the transaction that locks it has ended.",
            )
        if isinstance(error, psycopg.errors.QueryCanceled):
            return UnreachableError(
                f"A statement on the {where} was cancelled there: {_sentence(error)}.",
                "It comes again; find out who cancels statements of this user.",
            )
        if (error.sqlstate or "").startswith(_EXHAUSTED):
            return UnreachableError(
                f"The {where} cannot go on: {_sentence(error)}.",
                "Give the server what it has run out of.",
            )
        if is_lost(error):
            return UnreachableError(
                f"The connection to the {where} was lost: {_sentence(error)}.",
                "Check that the server runs and that the network lets it through.",
            )
        return error

    def _parameters(self, side: Side) -> dict[str, Any]:
        dsn = self.source_dsn if side is Side.SOURCE else self.target_dsn
        try:
            given = conninfo.conninfo_to_dict(dsn)
        except psycopg.ProgrammingError as error:
            # The parser quotes what it could not read, which may be the password.
            raise ConfigurationError(
                f"The dsn of the {side.value} is no libpq connection string.",
                f"Write {side.value}.dsn as postgresql://user:password@host:port/database.",
            ) from error
        return {
            **_KEEPALIVE,
            "connect_timeout": max(2, round(self.connect_timeout_seconds)),
            **given,
            "application_name": APPLICATION_NAME,
        }

    def _refused(self, side: Side, error: psycopg.OperationalError) -> FailbackError:
        where, why = self.describe(side), _sentence(error)
        text = str(error)
        if any(part in text for part in _CREDENTIALS) or all(p in text for p in _ROLE_MISSING):
            return CredentialsError(
                f"The {where} refused the login: {why}.",
                f"Correct user and password in {side.value}.dsn, or pg_hba.conf on the server.",
            )
        if "permission denied for database" in text:
            return MissingRightError(
                f"The {where} may not connect: {why}.",
                "GRANT CONNECT ON DATABASE … TO the user.",
            )
        if 'database "' in text and "does not exist" in text:
            return ConfigurationError(
                f"The {where} cannot be opened: {why}.",
                f"Correct the database's name in {side.value}.dsn.",
            )
        return UnreachableError(
            f"The {where} does not answer: {why}.",
            "Check that the server runs and that the network lets it through.",
        )


def is_lost(error: psycopg.Error) -> bool:
    """Whether the session is gone, not just the statement refused."""
    state = error.sqlstate
    if not isinstance(error, psycopg.OperationalError):
        return False
    return state is None or state[:2] == "08" or state[:3] == "57P"


def _sentence(error: psycopg.Error) -> str:
    """The server's or libpq's own words on one line, without prefixes and full stop."""
    text = error.diag.message_primary or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    for prefix in ("failed: ", "FATAL: ", "ERROR: "):
        line = line.rpartition(prefix)[2]
    return line.strip().rstrip(".")[:300]
