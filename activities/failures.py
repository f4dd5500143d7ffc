"""How an error becomes a Temporal failure: decided once, for every activity."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from failback.errors import FailbackError

P = ParamSpec("P")
R = TypeVar("R")

_TEXT_LIMIT = 4_000
"""Characters of an error's text; a failure over 2 MiB would fail the workflow task."""


def as_application_error(error: FailbackError, *, retried: bool = False) -> ApplicationError:
    """The failure that an operator sees: type is the cause's class, details the attempt.

    Args:
        error: the cause.
        retried: the same call is made again whatever the cause is.
    """
    return ApplicationError(
        str(error)[:_TEXT_LIMIT],
        {"attempt": activity.info().attempt, "cure": error.cure[:_TEXT_LIMIT]},
        type=type(error).__name__,
        non_retryable=not (error.retryable or retried),
    )


def maps_errors(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Decorates an asynchronous activity: FailbackError becomes ApplicationError."""

    @functools.wraps(method)
    async def mapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except FailbackError as error:
            raise as_application_error(error) from error

    return mapped


def maps_errors_sync(method: Callable[P, R]) -> Callable[P, R]:
    """Decorates an activity that runs in a thread: FailbackError becomes ApplicationError."""

    @functools.wraps(method)
    def mapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except FailbackError as error:
            raise as_application_error(error) from error

    return mapped
