"""Which exit code a result has. One place, so that every command says the same."""

from failback.cli.output import ExitCode
from failback.models.common import Outcome
from failback.models.decision import Assessment, DecisionKind
from failback.models.rollback import Phase, RollbackResult, RollbackStatus

ENDED = frozenset({Phase.DONE, Phase.FAILED, Phase.REJECTED, Phase.CANCELLED})
"""Phases after which a rollback does nothing more."""


def of_outcome(outcome: Outcome) -> ExitCode:
    """The code of one effect: unknown is its own answer."""
    return {
        Outcome.SUCCEEDED: ExitCode.DONE,
        Outcome.FAILED: ExitCode.FAILED,
        Outcome.INCONCLUSIVE: ExitCode.WAITING,
    }[outcome]


def of_result(result: RollbackResult) -> ExitCode:
    """The code of a rollback that has ended.

    Without success it failed, unless no step failed and one could not be judged.
    """
    if result.success:
        return ExitCode.DONE
    outcomes = {step.outcome for step in result.steps}
    if Outcome.INCONCLUSIVE in outcomes and Outcome.FAILED not in outcomes:
        return ExitCode.WAITING
    return ExitCode.FAILED


def of_status(status: RollbackStatus) -> ExitCode:
    """The code of a rollback as it stands: waiting and running are 3."""
    if status.phase not in ENDED:
        return ExitCode.WAITING
    if status.result is not None:
        return of_result(status.result)
    return ExitCode.DONE if status.phase is Phase.DONE else ExitCode.FAILED


def of_assessment(assessment: Assessment) -> ExitCode:
    """The code of a decision: 1 where something is to be done, 3 where health is not known."""
    if assessment.decision is not DecisionKind.CONTINUE_MIGRATION:
        return ExitCode.FAILED
    return ExitCode.DONE if assessment.conclusive else ExitCode.WAITING
