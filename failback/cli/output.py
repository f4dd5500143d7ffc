"""One set of facts, two writers: a console for people, JSON for programs.

With `--json` nothing but one JSON document goes to standard output. Progress, notes and
errors for people go to standard error in both forms.
"""

import json
import re
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console


class ExitCode(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """Wrong use or configuration."""
    WAITING = 3
    """Waiting or inconclusive: not known to have failed, not known to be done."""
    INTERRUPTED = 130
    """By a person, at a command that leaves nothing going on."""


FILE_WIDTH = 180
"""Columns of a table that is not printed on a terminal."""

_SECRETS = (
    (re.compile(r"(\w+://[^\s:/@]*):[^\s@]+@"), r"\1:***@"),
    (
        re.compile(
            r"\b(password|secret|api_key)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE
        ),
        r"\1\2***",
    ),
)


def redacted(text: str) -> str:
    """A text in which no password of a connection string can be read."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _shape(stream: TextIO) -> dict[str, Any]:
    """A terminal is as wide as it is; a file gets whole lines."""
    return {} if stream.isatty() else {"soft_wrap": True, "width": FILE_WIDTH}


class Output:
    """Writes facts in the form that was asked for.

    Args:
        as_json: one JSON document on standard output instead of text for people.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def console(self) -> "Console":
        """A console on standard output. Rich is imported when it is first needed."""
        from rich.console import Console  # noqa: PLC0415 - `failback --help` stays quick

        return Console(highlight=False, **_shape(sys.stdout))

    def progress(self) -> "Console":
        """A console on standard error, for what happens while a command works."""
        from rich.console import Console  # noqa: PLC0415 - `failback --help` stays quick

        return Console(stderr=True, highlight=False, **_shape(sys.stderr))

    def show(self, facts: "BaseModel", write: Callable[["Console"], None]) -> None:
        """Print facts.

        Args:
            facts: printed as they are with `--json`.
            write: prints the same facts for people.
        """
        if self.as_json:
            sys.stdout.write(facts.model_dump_json(indent=2) + "\n")
            sys.stdout.flush()
        else:
            write(self.console())

    def note(self, text: str) -> None:
        """One line for people on standard error."""
        sys.stderr.write(redacted(text) + "\n")
        sys.stderr.flush()

    def error(self, kind: str, cause: str, cure: str) -> None:
        """An error: its cause on one line, its cure on the next, and never a secret.

        Args:
            kind: the class of the error, such as `UnreachableError`.
            cause: what is wrong.
            cure: what to do about it; may be empty.
        """
        cause, cure = (" ".join(redacted(text).split()) for text in (cause, cure))
        if self.as_json:
            document = {"error": {"type": kind, "cause": cause, "cure": cure}}
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
            sys.stdout.flush()
            return
        sys.stderr.write(f"error: {cause}\n")
        if cure:
            sys.stderr.write(f"  cure: {cure}\n")
        sys.stderr.flush()
