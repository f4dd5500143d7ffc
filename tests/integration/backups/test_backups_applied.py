"""A backup of the source says how much of the target's changes it holds."""

from pathlib import Path

import pytest

from failback import certificates
from failback.lab.databases import DatabasePair
from failback.models.backups import BackupManifest
from failback.models.common import Side

from support.backups import CONFIGURATION, opened
from support.pairs import open_pair

pytestmark = pytest.mark.servers

COUNT = "SELECT count(*) FROM notes"
POSITION = "SELECT lsn::text FROM failback.stream"


def test_take_when_changes_are_applied_meanwhile_then_the_position_is_that_of_the_dumped_rows(
    databases: DatabasePair, tmp_path: Path
) -> None:
    certificates.generate(tmp_path / "key")
    path = tmp_path / "failback.yaml"
    text = CONFIGURATION.format(
        estate="shop", dsn=databases.source_dsn, key=tmp_path / "key", folder=tmp_path
    )
    programs = databases.servers.source.programs
    path.write_text(f'{text}  pg_bin: "{programs}"\n  exclude_schemas: [failback, auth]\n')
    backups = opened(path)
    with open_pair(databases) as pair:
        pair.both("CREATE TABLE notes (id int PRIMARY KEY)")
        before = backups.take()
        assert (before.applied_upto, before.applied_except) == ("", ())
        engine = pair.engine()
        assert engine.arm().outcome == "succeeded"

        def carry(number: int) -> str:
            with pair.product() as session:
                session.execute("INSERT INTO notes VALUES (%s)", [number])
            while pair.rows(Side.SOURCE, COUNT)[0][0] < number:
                engine.run_batch()
            return str(pair.rows(Side.SOURCE, POSITION)[0][0])

        first = carry(1)

        def meddle(told: str) -> None:
            # The snapshot is taken before parts are carried; the position moves on meanwhile.
            if "carrying" in told:
                carry(2)

        during = backups.take(meddle)
        assert (rows(during), during.applied_upto) == (1, first)
        pair.run(
            Side.SOURCE,
            "UPDATE failback.stream_table SET stopped = 'a column is missing'"
            " WHERE name = 'public.notes'",
        )
        second = str(pair.rows(Side.SOURCE, POSITION)[0][0])
        after = backups.take()
        assert (rows(after), after.applied_upto) == (2, second)
        assert after.applied_except == ("public.notes",)
        pair.run(Side.SOURCE, "UPDATE failback.stream SET lost = 'the slot is gone'")
        assert backups.take().applied_upto == ""
    assert [one.applied_upto for one in backups.list().backups] == ["", second, first, ""]


def rows(manifest: BackupManifest) -> int:
    return next(one.rows for one in manifest.tables if one.table == "public.notes")
