"""Errors as the product's clients see them, in Supabase's JSON form."""

from typing import Any

import psycopg
import psycopg_pool
from aiohttp import web

FENCED = "25006"
"""SQLSTATE of a write that a fence or a read-only transaction refused."""


class ProblemError(Exception):
    """An answer other than success.

    Args:
        status: HTTP status.
        code: what clients compare, such as `invalid_credentials`, `read_only` or a SQLSTATE.
        message: one sentence for people.
    """

    def __init__(self, status: int, code: str, message: str, *, details: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


_BY_SQLSTATE = {
    "23503": 409,
    "23505": 409,
    "23502": 400,
    "23514": 400,
    "428C9": 400,
    "42501": 403,
    "42703": 400,
    "42P01": 404,
}

_AWAY = ("08", "53", "57")
"""Classes of SQLSTATE: connection, resources, operator intervention (shutdown, cancel)."""


def from_database(error: Exception) -> ProblemError:
    """The answer to a request that the database refused or did not finish.

    A fenced write is `read_only`, which promises that nothing was written. A lost connection
    is `database_unavailable`, which promises nothing about a write.
    """
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.TooManyRequests):
        return ProblemError(503, "database_unavailable", "No connection to the database is free.")
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _from_sqlstate(state, str(error))
    if isinstance(error, psycopg.OperationalError):
        return ProblemError(503, "database_unavailable", "The database does not answer.")
    return ProblemError(500, "unexpected_failure", "The product made a mistake.")


def _from_sqlstate(state: str, text: str) -> ProblemError:
    if state == FENCED:
        return ProblemError(503, "read_only", "This side does not accept writes.")
    message = text.partition("\n")[0] or state
    if state.startswith(_AWAY):
        return ProblemError(503, "database_unavailable", message)
    status = 400 if state.startswith("22") else _BY_SQLSTATE.get(state, 500)
    return ProblemError(status, state, message)


def response(problem: ProblemError, path: str) -> web.Response:
    """The problem as the part of Supabase that was asked writes it.

    `message` is in every form, and so is `code`; but auth gives the status there, and the code as
    `error_code`. Storage repeats both as `statusCode` and `error`.
    """
    body: dict[str, Any] = {"code": problem.code, "message": str(problem)}
    if path.startswith("/auth/"):
        body |= {"code": problem.status, "error_code": problem.code, "msg": str(problem)}
    elif path.startswith("/storage/"):
        body |= {"statusCode": str(problem.status), "error": problem.code}
    else:
        body |= {"details": problem.details, "hint": None}
    return web.json_response(body, status=problem.status)
