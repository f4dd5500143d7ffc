"""The command line: `failback` on a terminal, one set of facts in two forms."""

from failback.cli.entry import main

__all__ = ["main"]
