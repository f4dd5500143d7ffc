"""Runs one command line: every error becomes a sentence, a cure and an exit code."""

import contextlib
import logging
import os
import sys
from collections.abc import Sequence

import typer
import typer.main

from failback.cli.output import ExitCode, Output
from failback.errors import ConfigurationError, FailbackError

DEBUG_VARIABLE = "FAILBACK_DEBUG"
"""Set to anything, it lets an unexpected error through with its traceback."""


def main() -> None:
    """Run the command line of this process and exit with its code.

    Temporal's client has threads of its own and no way to be closed; an interpreter that is
    torn down under them can abort after the work was done. So the process ends without a
    tear-down, once everything is written.
    """
    code = run(sys.argv[1:])
    if "temporalio" not in sys.modules:
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: the words after the program's name.

    Returns:
        0 done, 1 failed, 2 wrong use or configuration, 3 waiting or inconclusive, and 130
        where a person interrupted a command that has nothing to wait for.
    """
    output = Output(as_json="--json" in arguments)
    try:
        return _invoked(arguments)
    except FailbackError as error:
        output.error(type(error).__name__, error.cause, error.cure)
        return ExitCode.USAGE if isinstance(error, ConfigurationError) else ExitCode.FAILED
    except (KeyboardInterrupt, typer.Abort):
        output.note("Interrupted.")
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        return _misused(output, error)
    except BrokenPipeError:
        # The reader of our output went away (`failback … | head`): that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the outermost frame: people get a sentence
        return _surprised(output, error)


def _invoked(arguments: Sequence[str]) -> int:
    """Import the commands only here, so that errors while importing are reported too."""
    from failback.cli.app import app  # noqa: PLC0415 - see above

    command = typer.main.get_command(app)
    result = command.main(args=list(arguments), prog_name="failback", standalone_mode=False)
    return result if isinstance(result, int) else ExitCode.DONE


def _misused(output: Output, error: typer.TyperException) -> int:
    """Wrong words on the command line, or none where a group needs one."""
    context = getattr(error, "ctx", None)
    told = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        output.note(told)
        return ExitCode.USAGE
    path = context.command_path if context is not None else "failback"
    output.error("UsageError", _sentence(told), f"See {path} --help.")
    return ExitCode.USAGE


def _surprised(output: Output, error: Exception) -> int:
    """A bug: said in one line, and shown whole only to somebody who asks for it."""
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    output.error(
        type(error).__name__,
        f"Unexpected error: {type(error).__name__}: {_sentence(str(error))}",
        f"This is a bug in failback; {DEBUG_VARIABLE}=1 shows where it happened.",
    )
    return ExitCode.FAILED


def _sentence(text: str) -> str:
    """One line that ends as a sentence does."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) or not line else f"{line}."
