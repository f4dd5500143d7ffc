"""What every store of backups keeps to: a folder, and a bucket of a real S3 server."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from failback.backup_ports import ObjectStore
from failback.errors import (
    CredentialsError,
    MissingRightError,
    ObjectMissingError,
    ObjectStoreError,
    UnreachableError,
)
from failback.lab.processes import free_port
from failback.providers.backup import FolderStore, S3Store
from failback.sections.backup import S3Config

from support.s3_server import s3_server

LARGE = 40 * 2**20


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Config]:
    with s3_server(tmp_path_factory.mktemp("s3")) as config:
        yield config


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    made: ObjectStore
    if request.param == "folder":
        made = FolderStore(tmp_path / "store")
    else:
        config: S3Config = request.getfixturevalue("bucket")
        made = S3Store(config.model_copy(update={"prefix": f"of/{tmp_path.name}"}))
    yield made
    made.close()


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [one.key for one in store.list(prefix)]


def test_bytes_when_put_then_they_are_read_and_listed(store: ObjectStore) -> None:
    store.put_bytes("a/1", b"one")
    store.put_bytes("a/1", b"other")
    assert b"".join(store.read("a/1")) == b"other"
    assert [(one.key, one.bytes) for one in store.list("a/")] == [("a/1", 5)]


def test_empty_object_when_put_then_it_is_there(store: ObjectStore) -> None:
    store.put_bytes("a/empty", b"")
    assert b"".join(store.read("a/empty")) == b""
    assert keys(store) == ["a/empty"]


def test_list_when_a_prefix_is_given_then_sorted_and_only_those(store: ObjectStore) -> None:
    for key in ("b/2", "a/x/1", "a/y", "ab/1"):
        store.put_bytes(key, b"1")
    assert keys(store, "a/") == ["a/x/1", "a/y"]
    assert keys(store) == ["a/x/1", "a/y", "ab/1", "b/2"]
    assert keys(store, "nowhere/") == []


def test_read_when_nothing_is_there_then_it_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match="There is no a/none"):
        list(store.read("a/none"))


def test_delete_when_some_are_not_there_then_the_others_go(store: ObjectStore) -> None:
    store.put_bytes("a/1", b"1")
    store.put_bytes("a/2", b"2")
    store.delete(["a/none", "a/1"])
    assert keys(store) == ["a/2"]


def test_large_file_when_carried_then_whole_and_memory_is_bounded(
    store: ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for number in range(LARGE // 2**20):
            file.write(bytes([number % 251]) * 2**20)
    read = hashlib.sha256()
    tracemalloc.start()
    try:
        store.put_file("a/large", path)
        tracemalloc.reset_peak()
        for piece in store.read("a/large"):
            read.update(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert peak < LARGE / 4


def test_folder_when_a_key_leads_out_then_it_is_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(ObjectStoreError, match="no key of an object"):
        store.put_bytes("../outside", b"1")
    assert not (tmp_path / "outside").exists()


def test_folder_when_a_file_is_in_its_way_then_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(ObjectStoreError, match=r"backup\.folder"):
        FolderStore(tmp_path / "store").put_bytes("a/1", b"1")


def test_bucket_when_nobody_answers_then_unreachable() -> None:
    store = S3Store(
        S3Config(
            bucket="b",
            endpoint=f"http://127.0.0.1:{free_port()}",
            access_key=SecretStr("a"),
            secret_key=SecretStr("hunter2"),
            path_style=True,
        )
    )
    with pytest.raises(UnreachableError, match="does not answer") as raised:
        store.put_bytes("a", b"1")
    assert "hunter2" not in str(raised.value)


@pytest.mark.servers
def test_bucket_when_it_is_not_there_then_says_so(bucket: S3Config) -> None:
    store = S3Store(bucket.model_copy(update={"bucket": "another"}))
    with pytest.raises(ObjectStoreError, match="no bucket another"):
        store.put_bytes("a", b"1")


@pytest.mark.servers
def test_bucket_when_the_secret_is_wrong_then_it_is_refused(bucket: S3Config) -> None:
    store = S3Store(bucket.model_copy(update={"secret_key": SecretStr("another")}))
    with pytest.raises((CredentialsError, MissingRightError)):
        store.put_bytes("a", b"1")


@pytest.mark.servers
def test_bucket_when_a_lock_is_wanted_and_none_offered_then_refused(bucket: S3Config) -> None:
    store = S3Store(bucket.model_copy(update={"lock_days": 7}))
    with pytest.raises(ObjectStoreError, match="no object lock"):
        store.put_bytes("locked", b"1")
    assert keys(S3Store(bucket), "locked") == []
