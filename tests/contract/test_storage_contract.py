"""What endpoints of objects promise, on the fake, on rclone, and on SeaweedFS."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from failback.errors import (
    BucketMissingError,
    CredentialsError,
    ObjectChangedError,
    UnreachableError,
)
from failback.models.common import Side
from failback.models.storage import ObjectEntry, ObjectHead, OpenUpload
from failback.providers.storage import FakeEndpoint, S3Endpoint
from failback.sections.storage import StorageEndpointConfig
from failback.storage_ports import ObjectEndpoint

from support.object_servers import S3Server, rclone, seaweed

MIB = 1024 * 1024
HEAD = ObjectHead(
    size=0,
    etag="",
    content_type="image/webp",
    cache_control="max-age=3600",
    content_disposition='attachment; filename="a.webp"',
    metadata={"owner": "mira"},
)
_buckets = itertools.count(1)


@dataclass
class Subject:
    """An endpoint with a bucket."""

    endpoint: ObjectEndpoint
    bucket: str
    versioned: bool

    def put(self, key: str, body: bytes, head: ObjectHead = HEAD) -> str:
        found = self.endpoint.head(self.bucket, key)
        return self.endpoint.put(self.bucket, key, body, head, found.etag if found else None)

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.endpoint.listed(self.bucket, prefix)
        return sorted(entry.key for page in pages for entry in page.objects)


@pytest.fixture(scope="module")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="module")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(
    params=[
        "fake",
        pytest.param("rclone", marks=pytest.mark.servers),
        pytest.param("seaweed", marks=pytest.mark.servers),
    ]
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    bucket = f"bucket-{next(_buckets)}"
    if request.param == "fake":
        fake = FakeEndpoint(Side.SOURCE)
        fake.make(bucket, versioned=True)
        yield Subject(fake, bucket, versioned=True)
        return
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    server.make(bucket, versioned=server.versions)
    yield Subject(server.endpoint(Side.SOURCE), bucket, versioned=server.versions)


def test_bucket_when_made_then_it_is_there_and_a_second_time_changes_nothing(
    subject: Subject,
) -> None:
    absent = f"{subject.bucket}-made"
    assert not subject.endpoint.state(absent).exists
    subject.endpoint.make(absent)
    assert subject.endpoint.state(absent).exists
    subject.put("a", b"kept")
    before = subject.endpoint.state(subject.bucket)
    subject.endpoint.make(subject.bucket)
    assert subject.endpoint.state(subject.bucket) == before
    assert subject.keys() == ["a"]


@pytest.mark.parametrize("key", ["a.txt", "folder/ä b+c%20&.txt", "日本/é/😀"])
def test_object_when_written_then_everything_of_it_is_read_back(subject: Subject, key: str) -> None:
    etag = subject.put(key, b"hello")
    head, body = subject.endpoint.get(subject.bucket, key, etag)
    assert (body, head.size, head.described) == (b"hello", 5, HEAD.described)
    assert subject.endpoint.head(subject.bucket, key) == head
    assert subject.keys() == [key]


def test_empty_object_when_written_then_it_is_read_back(subject: Subject) -> None:
    etag = subject.put("empty", b"")
    assert subject.endpoint.get(subject.bucket, "empty", etag)[1] == b""


def test_object_when_missing_then_there_is_no_head(subject: Subject) -> None:
    assert subject.endpoint.head(subject.bucket, "nothing") is None


def test_read_when_the_object_was_replaced_then_it_says_so(subject: Subject) -> None:
    old = subject.put("a", b"old")
    subject.put("a", b"new")
    with pytest.raises(ObjectChangedError):
        subject.endpoint.get(subject.bucket, "a", old)
    with pytest.raises(ObjectChangedError):
        subject.endpoint.get_range(subject.bucket, "a", old, 0, 1)


def test_read_when_the_object_is_gone_then_it_says_so(subject: Subject) -> None:
    etag = subject.put("a", b"old")
    subject.endpoint.delete(subject.bucket, "a", etag)
    with pytest.raises(ObjectChangedError):
        subject.endpoint.get(subject.bucket, "a", etag)


def test_range_when_read_then_it_is_exactly_those_bytes(subject: Subject) -> None:
    etag = subject.put("a", b"0123456789")
    assert subject.endpoint.get_range(subject.bucket, "a", etag, 3, 4) == b"3456"


@pytest.mark.parametrize("expected", [None, "0" * 32])
def test_write_when_another_version_is_there_then_it_stays(
    subject: Subject, expected: str | None
) -> None:
    etag = subject.put("a", b"newer")
    with pytest.raises(ObjectChangedError):
        subject.endpoint.put(subject.bucket, "a", b"late", HEAD, expected)
    assert subject.endpoint.get(subject.bucket, "a", etag)[1] == b"newer"


def test_write_when_what_it_replaces_is_gone_then_nothing_is_written(subject: Subject) -> None:
    with pytest.raises(ObjectChangedError):
        subject.endpoint.put(subject.bucket, "a", b"late", HEAD, "0" * 32)
    assert subject.keys() == []


def test_delete_when_another_version_is_there_then_it_stays(subject: Subject) -> None:
    subject.put("a", b"newer")
    with pytest.raises(ObjectChangedError):
        subject.endpoint.delete(subject.bucket, "a", "0" * 32)
    assert subject.keys() == ["a"]


def test_delete_when_done_twice_then_the_second_finds_nothing(subject: Subject) -> None:
    etag = subject.put("a", b"1")
    assert subject.endpoint.delete(subject.bucket, "a", etag)
    assert not subject.endpoint.delete(subject.bucket, "a", etag)
    assert subject.keys() == []


def test_copy_when_near_then_bytes_and_description_are_there(subject: Subject) -> None:
    etag = subject.put("a b/ä", b"hello")
    head = subject.endpoint.head(subject.bucket, "a b/ä")
    assert head is not None
    copied = subject.endpoint.copy(subject.bucket, "copy", (subject.bucket, "a b/ä"), head, None)
    found, body = subject.endpoint.get(subject.bucket, "copy", copied)
    assert (body, found.content_type, found.cache_control) == (
        b"hello",
        "image/webp",
        "max-age=3600",
    )
    assert etag


def test_upload_when_in_parts_then_the_object_is_whole(subject: Subject) -> None:
    bodies = [bytes([65 + number]) * 5 * MIB for number in range(2)] + [b"rest"]
    upload = subject.endpoint.begin_upload(subject.bucket, "large", HEAD)
    etags = [
        subject.endpoint.put_part(upload, number, body) for number, body in enumerate(bodies, 1)
    ]
    assert subject.endpoint.parts(upload) == {
        number: (etag, len(body))
        for number, (etag, body) in enumerate(zip(etags, bodies, strict=True), 1)
    }
    assert subject.keys() == []
    etag = subject.endpoint.complete_upload(upload, etags, None)
    (page,) = [page for page in subject.endpoint.listed(subject.bucket, "") if page.objects]
    assert [(entry.etag, entry.size) for entry in page.objects] == [(etag, 10 * MIB + 4)]
    head, body = subject.endpoint.get(subject.bucket, "large", etag)
    assert head.described == HEAD.described
    assert hashlib.sha256(body).digest() == hashlib.sha256(b"".join(bodies)).digest()


def test_upload_when_another_version_came_then_that_one_stays(subject: Subject) -> None:
    upload = subject.endpoint.begin_upload(subject.bucket, "a", HEAD)
    part = subject.endpoint.put_part(upload, 1, b"late")
    etag = subject.put("a", b"newer")
    with pytest.raises(ObjectChangedError):
        subject.endpoint.complete_upload(upload, [part], None)
    assert subject.endpoint.get(subject.bucket, "a", etag)[1] == b"newer"


def test_upload_when_abandoned_then_it_is_unknown_and_may_be_abandoned_again(
    subject: Subject,
) -> None:
    upload = subject.endpoint.begin_upload(subject.bucket, "a", HEAD)
    for _ in range(2):
        subject.endpoint.abandon_upload(upload)
    assert subject.endpoint.parts(upload) is None
    assert subject.endpoint.parts(OpenUpload(bucket=subject.bucket, key="a", id="0" * 32)) is None


def test_listing_when_by_prefix_then_it_has_all_of_those_and_no_other(subject: Subject) -> None:
    wanted = sorted(["p/a!", "p/a.b", "p/ä", "p/b/c", "p/z"])
    for key in [*wanted, "q", "p0"]:
        subject.put(key, b"1")
    assert subject.keys("p/") == wanted


def test_state_when_there_then_versions_are_told(subject: Subject) -> None:
    state = subject.endpoint.state(subject.bucket)
    assert (state.exists, state.versioned, state.problem) == (True, subject.versioned, "")
    assert subject.endpoint.honours_conditions(subject.bucket) is subject.versioned
    assert subject.keys() == []


def test_state_when_the_bucket_is_missing_then_cause_and_cure_are_told(subject: Subject) -> None:
    state = subject.endpoint.state("no-such-bucket")
    assert (state.exists, "no-such-bucket" in state.problem) == (False, True)
    assert "storage.buckets" in state.cure
    with pytest.raises(BucketMissingError):
        list(subject.endpoint.listed("no-such-bucket", ""))


def test_deleted_keys_when_versions_are_kept_then_only_those_that_were_objects(
    subject: Subject,
) -> None:
    for key in ("stays", "goes", "comes back"):
        subject.put(key, b"1")
    for key in ("goes", "comes back"):
        subject.endpoint.delete(subject.bucket, key, hashlib.md5(b"1").hexdigest())
    subject.put("comes back", b"2")
    found = {one.key for one in subject.endpoint.deleted(subject.bucket, "")}
    assert found == ({"goes"} if subject.versioned else set())


def test_inventory_when_versions_are_kept_then_the_current_one_of_each_object_is_named(
    subject: Subject,
) -> None:
    for key, body in (("p/a", b"1"), ("p/a", b"22"), ("p/b", b"3"), ("p/gone", b"4"), ("q", b"5")):
        subject.put(key, body)
    subject.endpoint.delete(subject.bucket, "p/gone", hashlib.md5(b"4").hexdigest())

    def found() -> dict[str, ObjectEntry]:
        pages = subject.endpoint.inventoried(subject.bucket, "p/")
        return {entry.key: entry for page in pages for entry in page.objects}

    before = found()
    assert {key: (one.size, one.etag) for key, one in before.items()} == {
        "p/a": (2, hashlib.md5(b"22").hexdigest()),
        "p/b": (1, hashlib.md5(b"3").hexdigest()),
    }
    subject.put("p/a", b"333")
    after = found()
    if subject.versioned:
        assert "" not in {one.version for one in after.values()}
        assert before["p/a"].version != after["p/a"].version
        assert before["p/b"].version == after["p/b"].version
    else:
        assert {one.version for one in after.values()} == {""}


@pytest.mark.servers
def test_deleted_keys_when_only_a_marker_is_there_then_it_is_no_proof(
    seaweed_server: S3Server,
) -> None:
    bucket = f"bucket-{next(_buckets)}"
    seaweed_server.make(bucket, versioned=True)
    seaweed_server.client.delete_object(Bucket=bucket, Key="never was")
    versions = seaweed_server.client.list_object_versions(Bucket=bucket)
    assert [marker["Key"] for marker in versions.get("DeleteMarkers", ())] == ["never was"]
    assert list(seaweed_server.endpoint(Side.TARGET).deleted(bucket, "")) == []


@pytest.mark.servers
def test_credentials_when_wrong_then_they_are_named(rclone_server: S3Server) -> None:
    wrong = StorageEndpointConfig(url=rclone_server.url, access_key="x" * 12, secret_key="y" * 12)
    endpoint = S3Endpoint(Side.SOURCE, wrong, 1)
    with pytest.raises(CredentialsError, match="access_key"):
        list(endpoint.listed("bucket", ""))
    endpoint.close()


def test_endpoint_when_nobody_answers_then_it_may_later() -> None:
    away = StorageEndpointConfig(url="http://127.0.0.1:9", access_key="x" * 12, secret_key="y" * 12)
    endpoint = S3Endpoint(Side.SOURCE, away, 1)
    with pytest.raises(UnreachableError, match="url"):
        endpoint.state("bucket")
    endpoint.close()
