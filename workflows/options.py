"""Timeouts and retries by kind of work, so that a call site says what it is about to do."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

_FOREVER = timedelta(days=365)
_SMALL_WRITE = timedelta(seconds=30)


class CourierOptions(TypedDict):
    """Options of an activity that is tried anew for long, each try for a short time."""

    schedule_to_close_timeout: timedelta
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class LocalOptions(TypedDict):
    """Options of a local activity."""

    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class EffectOptions(TypedDict):
    """Options of an activity without heartbeats, each try of which has its own time."""

    schedule_to_close_timeout: timedelta
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class RemoteOptions(TypedDict):
    """Options of an activity on the task queue."""

    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


_QUICK = RetryPolicy(
    initial_interval=timedelta(milliseconds=50),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(milliseconds=500),
    maximum_attempts=4,
)
_PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=5),
)

_STUBBORN = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=5),
    maximum_attempts=6,
)

_UNDAUNTED = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=15),
)
"""Seven tries in the first half minute, within which stakeholders are to be told."""


def switch(budget_seconds: float) -> LocalOptions:
    """An effect of milliseconds inside the write gap: local, so that it costs no queue."""
    return LocalOptions(
        schedule_to_close_timeout=timedelta(seconds=budget_seconds),
        retry_policy=_QUICK,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def effect(budget_seconds: float) -> EffectOptions:
    """An effect of seconds outside the write gap, without heartbeats.

    One try has half of the budget: without that a worker that dies with it would be noticed
    only when all of the budget is gone.
    """
    return EffectOptions(
        schedule_to_close_timeout=timedelta(seconds=budget_seconds),
        start_to_close_timeout=timedelta(seconds=budget_seconds / 2),
        retry_policy=_PATIENT,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def long(budget_seconds: float) -> RemoteOptions:
    """Work that heartbeats: a dead worker is noticed in seconds, and a cancel arrives.

    A server that stays away ends it after a few attempts, long before a large budget has
    passed, because the level has something better to do than to wait.
    """
    return RemoteOptions(
        schedule_to_close_timeout=timedelta(seconds=budget_seconds),
        heartbeat_timeout=timedelta(seconds=5),
        retry_policy=_STUBBORN,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def persistent() -> RemoteOptions:
    """Work that goes on for as long as it takes, whatever happens to workers and servers."""
    return RemoteOptions(
        schedule_to_close_timeout=_FOREVER,
        heartbeat_timeout=timedelta(seconds=5),
        retry_policy=_PATIENT,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def recorder() -> EffectOptions:
    """A small write that must not get lost, whenever its store or a worker is back."""
    return EffectOptions(
        schedule_to_close_timeout=_FOREVER,
        start_to_close_timeout=_SMALL_WRITE,
        retry_policy=_PATIENT,
        cancellation_type=ActivityCancellationType.TRY_CANCEL,
    )


def courtesy(budget_seconds: float) -> EffectOptions:
    """Work that nobody waits for when it fails, such as telling somebody."""
    return EffectOptions(
        schedule_to_close_timeout=timedelta(seconds=budget_seconds),
        start_to_close_timeout=timedelta(seconds=budget_seconds / 2),
        retry_policy=RetryPolicy(maximum_attempts=3),
        cancellation_type=ActivityCancellationType.TRY_CANCEL,
    )


def courier(give_up_seconds: float) -> CourierOptions:
    """Something that is brought to somebody who may not answer: many short tries."""
    return CourierOptions(
        schedule_to_close_timeout=timedelta(seconds=give_up_seconds),
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_UNDAUNTED,
        cancellation_type=ActivityCancellationType.TRY_CANCEL,
    )
