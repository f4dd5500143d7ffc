"""The storage sync between two real S3 servers of different makes, by the command line."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.models.common import Side
from failback.models.storage import ObjectHead

from support.object_pairs import PLAIN, SOURCE, TARGET, Pair
from support.object_servers import ACCESS, SECRET, S3Server, rclone, seaweed

pytestmark = pytest.mark.servers

MIB = 1024 * 1024
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Side, S3Server]]:
    """The target keeps versions and lists by folder; the source knows neither conditions."""
    folder = tmp_path_factory.mktemp("objects")
    with rclone(folder / "source") as source, seaweed(folder / "target") as target:
        source.make(SOURCE)
        target.make(TARGET, versioned=True)
        yield {Side.SOURCE: source, Side.TARGET: target}


@pytest.fixture
def pair(servers: dict[Side, S3Server], tmp_path: Path) -> Pair:
    return Pair(
        servers[Side.SOURCE].endpoint(Side.SOURCE),
        servers[Side.TARGET].endpoint(Side.TARGET),
        tmp_path / "objects.sqlite3",
    )


@pytest.fixture
def failback(servers: dict[Side, S3Server], tmp_path: Path) -> Run:
    """The command line on an estate with these servers."""
    keys = {"access_key": ACCESS, "secret_key": SECRET}
    routes = ("database", "auth", "storage", "functions")
    estate = {
        "estate": "shop",
        "source": {"dsn": "host=127.0.0.1 port=9 dbname=nothing"},
        "target": {"dsn": "host=127.0.0.1 port=9 dbname=nothing"},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:9"},
            "routes": {service: [{"backend": service}] for service in routes},
        },
        "storage": {
            **{side.value: {"url": servers[side].url, **keys} for side in Side},
            "buckets": [{"target": TARGET, "source": SOURCE}],
            "inventory": str(tmp_path / "objects.sqlite3"),
            "part_mb": 5,
        },
    }
    config = tmp_path / "failback.yaml"
    config.write_text(yaml.safe_dump(estate))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        program = Path(sys.executable).parent / "failback"
        done = subprocess.run(
            [program, "storage", *words, "--config", config, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert SECRET not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_storage_when_synced_by_the_command_line_then_both_sides_are_equal(
    pair: Pair, failback: Run, servers: dict[Side, S3Server]
) -> None:
    html = ObjectHead(
        size=0,
        etag="",
        content_type="text/html",
        cache_control="no-store",
        content_disposition="inline",
        metadata={"owner": "mira"},
    )
    for side in Side:
        for key in ("stays", "goes", "changes", "folder/ä b+c.txt"):
            pair.put(side, key, key.encode())
    assert failback("baseline")[1]["buckets"][0]["both"] == 4
    code, status = failback("status")
    assert code == 3, "deletes on the source are final there, which is said"
    assert [bucket["versioned"] for bucket in status["buckets"]] == [False, True]

    pair.delete(Side.TARGET, "goes")
    pair.put(Side.TARGET, "changes", b"changed", html)
    pair.put(Side.TARGET, "empty", b"", html)
    client = servers[Side.TARGET].client
    upload = client.create_multipart_upload(Bucket=TARGET, Key="large", ContentType="video/mp4")
    where = {"Bucket": TARGET, "Key": "large", "UploadId": upload["UploadId"]}
    bodies = [b"a" * 5 * MIB, b"b" * 6 * MIB, b"c"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**where, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    code, found = failback("verify")
    kinds = {one["key"]: one["kind"] for one in found["differences"]}
    assert (code, kinds) == (
        1,
        {"changes": "content", "empty": "missing", "goes": "extra", "large": "missing"},
    )

    code, report = failback("sync")
    assert (code, report["outcome"]) == (0, "succeeded"), report
    assert (report["buckets"][0]["copied"], report["buckets"][0]["deleted"]) == (3, 1)
    code, verified = failback("verify", "--read-all")
    assert (code, verified["differences"]) == (0, [])
    bucket = verified["buckets"][0]
    assert bucket["source_digest"] == bucket["target_digest"]
    assert pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)
    once = failback("sync", "--once")[1]["buckets"][0]
    assert (once["copied"], once["passes"]) == (0, 1)
    code, quick = failback("verify", "--quick")
    assert (code, quick["differences"]) == (0, [])
    assert quick["buckets"][0]["objects"] == bucket["objects"]


def test_storage_when_many_small_objects_change_while_it_syncs_then_both_sides_end_equal(
    pair: Pair,
) -> None:
    keys = [f"many/{number % 7}/{number:04}" for number in range(120)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: pair.put(Side.TARGET, key, key.encode()), keys))
        synced = pool.submit(lambda: pair.sync().sync(target_wins=True))
        for key in keys[::3]:
            pair.delete(Side.TARGET, key)
        for key in keys[1::3]:
            pair.put(Side.TARGET, key, b"new " + key.encode(), PLAIN)
        synced.result()
    report = pair.sync().sync(deletes_accepted_by="mira")
    assert report.buckets[0].failed == 0
    assert pair.contents(Side.SOURCE) == pair.contents(Side.TARGET)
    assert not [key for key in pair.contents(Side.SOURCE) if key in keys[::3]]


def test_storage_when_a_bucket_is_missing_then_every_command_names_it_and_its_cure(
    failback: Run, tmp_path: Path
) -> None:
    config = tmp_path / "failback.yaml"
    config.write_text(config.read_text().replace(f"target: {TARGET}", "target: lost-files"))
    for command in ("sync", "verify", "baseline"):
        code, answer = failback(command)
        assert (code, answer["error"]["type"]) == (1, "BucketMissingError")
        assert "lost-files" in answer["error"]["cause"]
        assert "storage.buckets" in answer["error"]["cure"]
    code, status = failback("status")
    assert (code, status["buckets"][1]["exists"]) == (1, False)
