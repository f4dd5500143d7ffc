"""What a backup holds besides the database: inventories of buckets, and keys by digest."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from failback.errors import BackupContentError, UnreachableError
from failback.models.backups import BackupManifest, PartKind
from failback.models.common import Outcome, Side
from failback.models.storage import ObjectHead
from failback.models.system import Item, ItemsReport
from failback.providers.backup import beside
from failback.providers.backup.beside import Beside, Bucket, Found, read_inventory
from failback.providers.storage import FakeEndpoint

AT = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = ("auth/issuer", "settings/region")


class Keys:
    """Two keys as a switch tells of them."""

    closed = 0

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def status(self) -> ItemsReport:
        if self._error is not None:
            raise self._error
        said = "has the source's value (sha256 12ab34cd…)"
        items = tuple(Item(name=name, outcome=Outcome.SUCCEEDED, detail=said) for name in KEYS)
        return ItemsReport(items=items)

    async def switch(self, side: Side) -> ItemsReport:
        raise AssertionError(f"a backup switches nothing to {side}")

    async def aclose(self) -> None:
        self.closed += 1


def endpoint(versioned: bool = True) -> FakeEndpoint:
    made = FakeEndpoint(Side.SOURCE)
    made.make("files", versioned=versioned)
    for key in ("a", "b", "日本/é", "other/c", "e"):
        made.put("files", key, key.encode(), ObjectHead(size=len(key.encode()), etag=""), None)
    return made


def written(work: Path, source: Beside) -> Found:
    return source.write(work, lambda _: None)


def manifest(found: Found) -> BackupManifest:
    return BackupManifest(
        id="b",
        estate="shop",
        side=Side.SOURCE,
        database="app",
        taken_at=AT,
        completed_at=AT,
        software="failback 0",
        server_version="16.1",
        server_major=16,
        position="0/1",
        snapshot="1:1:",
        schema_fingerprint="",
        hash_probe=1,
        tables=(),
        parts=(),
        buckets=found.buckets,
        configuration_keys=found.keys,
    )


def test_parts_when_written_then_every_object_is_there_with_its_version(tmp_path: Path) -> None:
    keys = Keys()
    source = Beside(endpoint, [Bucket("files"), Bucket("files", "other/")], lambda: keys)
    found = written(tmp_path, source)
    assert [(one.bucket, one.prefix, one.objects, one.bytes) for one in found.buckets] == [
        ("files", "", 5, 19),
        ("files", "other/", 1, 7),
    ]
    assert found.buckets[0].versioned
    objects = list(read_inventory(tmp_path / found.buckets[0].part))
    assert {one.key for one in objects} == {"a", "b", "日本/é", "other/c", "e"}
    assert {one.version for one in objects} == {"1"}
    assert (found.keys, found.lacking, keys.closed) == (KEYS, (), 1)
    assert beside.check(tmp_path, manifest(found)) == 6
    kinds = {beside.kind_of(one.relative_to(tmp_path).as_posix()) for one in files(tmp_path)}
    assert kinds == {PartKind.STORAGE_INVENTORY, PartKind.CONFIGURATION_KEYS}


def files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def test_parts_when_a_bucket_is_lost_then_the_others_are_there_and_it_is_named(
    tmp_path: Path,
) -> None:
    source = Beside(endpoint, [Bucket("gone"), Bucket("files")])
    found = written(tmp_path, source)
    assert [one.bucket for one in found.buckets] == ["files"]
    (said,) = found.lacking
    assert said.startswith("The inventory of bucket gone: ")
    assert len(files(tmp_path)) == 1


def test_parts_when_keys_cannot_be_read_then_it_is_said(tmp_path: Path) -> None:
    away = Keys(UnreachableError("the file server does not answer"))
    found = written(tmp_path, Beside(switch=lambda: away))
    assert found.lacking == ("The configuration's keys: the file server does not answer",)
    assert (found.keys, away.closed) == ((), 1)


def test_parts_when_there_are_none_then_nothing_is_written(tmp_path: Path) -> None:
    assert written(tmp_path, Beside()) == Found()
    assert list(tmp_path.iterdir()) == []


def lose_a_line(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[1:])))


def change_a_size(path: Path) -> None:
    text = gzip.decompress(path.read_bytes())
    assert b'"size":1' in text
    path.write_bytes(gzip.compress(text.replace(b'"size":1', b'"size":2', 1)))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20:30] = b"\xff" * 10
    path.write_bytes(data)


def replace_it(path: Path) -> None:
    path.write_bytes(gzip.compress(b"no inventory\n"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_a_line, "has 4 objects of"),
        (change_a_size, "has 5 objects of 20 bytes; 5 of 19 were listed"),
        (cut, "cannot be read"),
        (spoil, "cannot be read"),
        (replace_it, "cannot be read"),
    ],
)
def test_check_when_an_inventory_is_not_what_was_listed_then_caught(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    found = written(tmp_path, Beside(endpoint, [Bucket("files")]))
    damage(tmp_path / found.buckets[0].part)
    with pytest.raises(BackupContentError, match=said):
        beside.check(tmp_path, manifest(found))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": [{"name": "auth/issuer"}]}'])
def test_check_when_the_keys_are_others_then_caught(text: str, tmp_path: Path) -> None:
    found = written(tmp_path, Beside(switch=Keys))
    (tmp_path / beside.KEYS).write_text(text)
    with pytest.raises(BackupContentError, match="keys"):
        beside.check(tmp_path, manifest(found))
