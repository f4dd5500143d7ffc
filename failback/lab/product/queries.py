"""The product's SQL files, read once."""

from functools import cache
from importlib.resources import files

from psycopg import sql


@cache
def query(name: str) -> sql.SQL:
    """The statement in `sql/<name>.sql` of this package.

    Raises:
        FileNotFoundError: there is no such file.
    """
    text = files("failback.lab.product").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sql.SQL(text)
