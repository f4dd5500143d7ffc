"""The record of a rollback's steps: start, end, attempts, budget, outcome, detail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Level, Outcome
    from failback.models.rollback import StepRecord

_DETAIL_LIMIT = 2_000

STEP_SECONDS = "failback_step_seconds"
"""The metric of every step's duration (docs/telemetry.md)."""


class StepFailedError(Exception):
    """A step of the plan failed; the level decides what happens instead.

    Args:
        step: the name of the step.
        detail: why, as far as it is known.
    """

    def __init__(self, step: str, detail: str) -> None:
        self.step = step
        self.detail = detail
        super().__init__(f"{step}: {detail}")

    @property
    def cause_type(self) -> str | None:
        """The class name of the error behind it; None where the step itself said that it failed."""
        error = self.__cause__
        while isinstance(error, ActivityError):
            error = error.cause
        return error.type if isinstance(error, ApplicationError) else None


class Step:
    """What a step's body says about it before the step closes."""

    def __init__(self) -> None:
        self.outcome = Outcome.SUCCEEDED
        self.detail = ""
        self.attempts = 1

    def observed(self, outcome: Outcome, detail: str, attempts: int = 1) -> None:
        """Take over what an activity saw. Attempts add up over a step's retries."""
        self.outcome = outcome
        self.detail = detail[:_DETAIL_LIMIT]
        self.attempts = max(self.attempts, attempts)


class Timeline:
    """Steps in the order in which they began.

    Args:
        budgets: seconds by step name; wins over the default that a step names.
        level: the level whose steps these are, for their metrics.
        changed: called after each change, to tell the story in Temporal's own UI.
        checkpoint: called before and after each step; raises to stop the plan there.
    """

    def __init__(
        self,
        budgets: dict[str, float],
        level: Level,
        changed: Callable[[], None],
        checkpoint: Callable[[], None],
    ) -> None:
        self._budgets = budgets
        self._level = level
        self._checkpoint = checkpoint
        self._changed = changed
        self._steps: list[StepRecord] = []

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """All steps so far; the running ones have no end."""
        return tuple(self._steps)

    @property
    def running(self) -> StepRecord | None:
        """The step that began last and has not ended."""
        return next((step for step in reversed(self._steps) if step.ended_at is None), None)

    def budget(self, name: str, default_seconds: float) -> float:
        """The budget of a step in seconds."""
        return self._budgets.get(name, default_seconds)

    @contextlib.asynccontextmanager
    async def step(self, name: str, budget_seconds: float) -> AsyncIterator[Step]:
        """Record the body as one step.

        Raises:
            StepFailedError: the body failed, or said so by `Step.observed`.
        """
        self._checkpoint()
        index = len(self._steps)
        self._steps.append(
            StepRecord(name=name, started_at=workflow.now(), budget_seconds=budget_seconds)
        )
        self._changed()
        step = Step()
        try:
            yield step
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                step.observed(Outcome.INCONCLUSIVE, "cancelled", step.attempts)
                self._close(index, step)
                raise
            detail, attempts = explained(error)
            step.observed(Outcome.FAILED, detail, attempts)
            self._close(index, step)
            self._checkpoint()
            raise StepFailedError(name, detail) from error
        except StepFailedError as error:
            step.observed(Outcome.FAILED, error.detail, step.attempts)
            self._close(index, step)
            raise
        self._close(index, step)
        self._checkpoint()
        if step.outcome is Outcome.FAILED:
            raise StepFailedError(name, step.detail)

    def _close(self, index: int, step: Step) -> None:
        record = self._steps[index].model_copy(
            update={
                "ended_at": workflow.now(),
                "attempts": step.attempts,
                "outcome": step.outcome,
                "detail": step.detail,
            }
        )
        self._steps[index] = record
        # Replays record nothing: a step is counted once, whatever crashes.
        workflow.metric_meter().create_histogram_float(
            STEP_SECONDS, "How long a step of a rollback took.", "s"
        ).record(
            record.seconds or 0.0,
            {
                "step": record.name,
                "level": str(self._level.value),
                "outcome": step.outcome.value,
            },
        )
        self._changed()


def explained(error: BaseException) -> tuple[str, int]:
    """The innermost cause of a failure in words, and the attempts that led to it."""
    cause: BaseException = error
    while isinstance(cause, ActivityError | ChildWorkflowError) and cause.cause is not None:
        cause = cause.cause
    if isinstance(cause, TemporalTimeoutError) and isinstance(cause.cause, ApplicationError):
        cause = cause.cause
    if isinstance(cause, TemporalTimeoutError):
        return f"no answer within the budget ({cause.message})", 1
    if isinstance(cause, ApplicationError):
        details = cause.details[0] if cause.details else {}
        attempts = details.get("attempt", 1) if isinstance(details, dict) else 1
        return cause.message, int(attempts)
    return str(cause), 1
