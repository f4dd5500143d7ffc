import io
import subprocess
import sys

import pytest
from rich.console import Console

from failback.cli.stages import StepNews, steps_table, write_result, write_status
from failback.cli.watch import picture
from failback.models.common import Outcome
from failback.models.rollback import DataLoss, Phase, RollbackResult

from support import sample_results as sample


def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def text(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


@pytest.mark.parametrize("phase", list(Phase))
def test_picture_of_any_phase_then_it_says_which(phase: Phase) -> None:
    on = console()
    on.print(picture(sample.status(phase)))
    assert phase.value.replace("_", " ") in text(on)


def test_picture_while_waiting_then_it_says_how_to_approve() -> None:
    on = console()
    on.print(picture(sample.status(Phase.WAITING_FOR_APPROVAL)))
    assert "0 of 1 approvals" in text(on)
    assert "failback rollback approve l2-20260314-024105-91af --as NAME" in text(on)


def test_steps_table_over_budget_then_time_and_budget_are_both_there() -> None:
    on = console()
    slow = sample.step("dns", 0, 31.04, 10, "resolver 10.0.0.2 still says target", attempts=3)
    on.print(steps_table((slow,)))
    line = next(line for line in text(on).splitlines() if "dns" in line)
    assert "31.0 s" in line
    assert "10 s" in line
    assert "resolver 10.0.0.2 still says target" in line


def test_step_news_told_twice_then_each_step_is_one_line() -> None:
    on = console()
    news = StepNews(on)
    news.tell(sample.status(Phase.RUNNING))
    news.tell(sample.status(Phase.RUNNING))
    news.tell_result(sample.level_2())
    assert text(on).count("fence:") == 1
    assert text(on).count("sync back:") == 1


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (sample.level_2(), ["succeeded", "0 rows", "99.94%", "1.2 s", "jonas", "load balancer"]),
        (
            sample.level_2_failed(),
            ["FAILED", "not known", "IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC", "does not answer"],
        ),
    ],
)
def test_write_result_then_verdict_figures_steps_and_people_are_there(
    result: RollbackResult, words: list[str]
) -> None:
    on = console()
    write_result(on, result)
    for word in words:
        assert word in text(on)


def test_write_result_with_markup_in_a_reason_then_it_is_printed_as_it_is() -> None:
    on = console()
    write_result(on, sample.level_1().model_copy(update={"reason": "[red]odd[/red] [/]"}))
    assert "[red]odd[/red] [/]" in text(on)


def test_write_result_with_conflicts_then_they_are_counted() -> None:
    on = console()
    loss = DataLoss(parked_conflicts=4)
    write_result(on, sample.level_1().model_copy(update={"data_loss": loss}))
    assert "4 conflicts parked" in text(on)


def test_write_status_of_a_rejected_rollback_then_it_is_not_called_failed() -> None:
    on = console()
    result = sample.level_2().model_copy(
        update={"success": False, "steps": (), "error": "rejected by jonas"}
    )
    write_status(on, sample.status(Phase.REJECTED, result))
    assert "rejected by jonas" in text(on)
    assert "FAILED" not in text(on)


def test_write_status_with_a_refused_decision_then_the_reason_is_there() -> None:
    on = console()
    status = sample.status(Phase.RUNNING).model_copy(
        update={"decisions": sample.level_2().decisions}
    )
    write_status(on, status)
    assert "who asked cannot approve alone" in text(on)


def test_steps_table_with_an_unknown_outcome_then_it_is_marked_as_such() -> None:
    on = console()
    on.print(steps_table((sample.step("dns", 0, 1, 10, outcome=Outcome.INCONCLUSIVE),)))
    assert "?" in text(on)


def test_help_when_printed_then_no_client_library_was_imported() -> None:
    script = (
        "import sys; from failback.cli.entry import run; code = run(['--help']);"
        "heavy = {'temporalio', 'psycopg', 'pydantic_settings', 'httpx', 'jinja2', 'dns'};"
        "sys.exit(code or ', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
