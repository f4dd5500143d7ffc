import json

import pytest
from pydantic import BaseModel

from failback.cli.output import Output, redacted


class Facts(BaseModel):
    number: int


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://failback:hunter2@db.example.org:5432/app does not answer",
        "host=db password=hunter2 user=failback",
        "host=db password='hunter2 and more' user=failback",
        "api_key: hunter2",
        "PASSWORD = hunter2",
    ],
)
def test_redacted_a_text_with_a_secret_then_it_cannot_be_read(text: str) -> None:
    assert "hunter2" not in redacted(text)
    assert "***" in redacted(text)


def test_redacted_a_text_without_a_secret_then_it_is_as_it_was() -> None:
    text = "The user failback@db lacks the right REPLICATION (see postgresql://db:5432/app)."
    assert redacted(text) == text


def test_show_with_json_then_standard_output_is_one_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output(as_json=True)
    output.note("on its way")
    output.show(Facts(number=3), lambda console: console.print("never"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"number": 3}
    assert captured.err == "on its way\n"


def test_show_for_people_then_their_writer_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    Output().show(Facts(number=3), lambda console: console.print("three [x]", markup=False))
    assert capsys.readouterr().out == "three [x]\n"


def test_error_with_json_then_type_cause_and_cure_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output(as_json=True).error("UnreachableError", "It is\n  away.", "Wait.")
    assert json.loads(capsys.readouterr().out) == {
        "error": {"type": "UnreachableError", "cause": "It is away.", "cure": "Wait."}
    }


def test_error_for_people_then_one_line_each_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().error("UnreachableError", "It is\naway.", "Wait\na little.")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: It is away.\n  cure: Wait a little.\n"
