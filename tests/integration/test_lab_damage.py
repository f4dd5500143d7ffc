"""Damage to the lab that needs no database."""

from pathlib import Path

import pytest

from failback.errors import LabError
from failback.lab.damage import DAMAGES, delete_bucket, newest_backup
from failback.lab.objects import BUCKETS, ObjectServer
from failback.lab.processes import free_port
from failback.models.common import Side
from failback.models.storage import ObjectHead
from failback.providers.storage import S3Endpoint
from failback.sections.storage import StorageEndpointConfig


class _Lab:
    """A lab of which only the backups are there."""

    source_objects = None

    def __init__(self, backups: Path) -> None:
        self.backups = backups

    @property
    def source(self) -> None:
        raise AssertionError("nobody should ask for the database")


@pytest.mark.servers
def test_bucket_when_deleted_then_it_is_gone_for_whoever_asks_and_others_stay(
    tmp_path: Path,
) -> None:
    server = ObjectServer(
        Side.SOURCE,
        port=free_port(),
        files=tmp_path / "files",
        secret="0" * 40,
        log=tmp_path / "objects.log",
    )
    server.start()
    try:
        config = StorageEndpointConfig.model_validate(server.endpoint)
        endpoint = S3Endpoint(Side.SOURCE, config, 2)
        for bucket in BUCKETS:
            endpoint.put(bucket, "folder/a.txt", b"text", ObjectHead(size=4, etag=""), None)
        delete_bucket(server, BUCKETS[0])
        delete_bucket(server, BUCKETS[0])
        assert [endpoint.state(bucket).exists for bucket in BUCKETS] == [False, True]
        assert [page.objects for page in endpoint.listed(BUCKETS[1], "") if page.objects]
        endpoint.make(BUCKETS[0])
        assert endpoint.state(BUCKETS[0]).exists
        endpoint.close()
    finally:
        server.stop()


def test_backup_when_made_unreadable_then_only_the_newest_loses_half_of_its_largest_part(
    tmp_path: Path,
) -> None:
    with pytest.raises(LabError, match="no backup"):
        newest_backup(tmp_path)
    for name in ("20260101", "20260102"):
        dump = tmp_path / "shop" / name / "database"
        dump.mkdir(parents=True)
        (dump / "1.dat").write_bytes(b"x" * 1000)
        (dump / "toc.dat").write_bytes(b"x" * 10)
        (dump.parent / "manifest.json").write_bytes(b"x" * 5000)
    unfinished = tmp_path / "shop" / "20260103" / "database"
    unfinished.mkdir(parents=True)
    lab = _Lab(tmp_path)
    DAMAGES["unreadable-backup"][2](lab)  # type: ignore[arg-type]  # it has no database
    sizes = {path.parent.parent.name: path.stat().st_size for path in tmp_path.rglob("1.dat")}
    assert sizes == {"20260101": 1000, "20260102": 500}
