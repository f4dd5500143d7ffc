"""An estate of two real databases whose target is archived into a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from failback.lab.databases import DatabasePair
from failback.models.common import Side

from support.archives import ArchivedEstate
from support.pairs import open_pair

TABLES = (
    """CREATE TABLE person (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, born date,
        twice text GENERATED ALWAYS AS (name || name) STORED)""",
    """CREATE TABLE visit (
        person bigint, no int, note text, at timestamptz DEFAULT now(), tags text[], body jsonb,
        rate float8, PRIMARY KEY (person, no))""",
    "CREATE TABLE line (text text, amount numeric)",
)
# Once, so that defaults which tell the time are the same on both sides.
ROWS = (
    "INSERT INTO person (name, born) SELECT 'p' || n, '2000-01-01' FROM generate_series(1, 40) n",
    "INSERT INTO visit SELECT n, 1, E'tab\tand\\line\n' || n FROM generate_series(1, 40) n",
    "INSERT INTO line SELECT 'l' || n % 5, n % 3 FROM generate_series(1, 20) n",
)


@pytest.fixture
def estate(databases: DatabasePair, tmp_path: Path) -> Iterator[ArchivedEstate]:
    """Armed and archived, with tables of several kinds and the same rows on both sides."""
    with open_pair(databases) as pair:
        made = ArchivedEstate(pair, tmp_path / "store")
        pair.both(*TABLES)
        assert pair.engine().arm().outcome == "succeeded"
        made.archive().arm()
        pair.run(Side.TARGET, *ROWS)
        pair.engine().drain(10.0)
        try:
            yield made
        finally:
            made.drop()
