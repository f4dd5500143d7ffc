"""Loads the package's SQL statements; its one reason to change is where they are kept."""

from functools import cache
from importlib.resources import files
from typing import LiteralString


@cache
def statement(name: str) -> LiteralString:
    """The text of `sql/<name>.sql`."""
    path = files("failback.recovery").joinpath("sql", f"{name}.sql")
    text: LiteralString = path.read_text("utf-8")
    return text
