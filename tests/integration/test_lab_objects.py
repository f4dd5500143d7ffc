"""Stored objects in the lab: two S3 endpoints, the product that writes them, and their judge."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from failback.lab.journal import read
from failback.models.common import Side
from failback.providers.storage import S3Endpoint
from failback.sections.storage import StorageEndpointConfig

from support.lab_run import LabRun, command, command_here, until
from support.products import signed_up

pytestmark = pytest.mark.servers

ROOT = "/storage/v1/object"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRun]:
    """A lab with objects, armed."""
    folder = tmp_path_factory.mktemp("objects")
    folder.chmod(0o755)
    answer = command("lab", "up", "--dir", str(folder / "lab"), "--json", seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=folder, facts=answer.facts, call=command_here)
    try:
        run.run("arm", "--no-continuous")
        yield run
    finally:
        run.close()


@pytest.fixture(scope="module")
def client(lab: LabRun) -> Iterator[httpx.Client]:
    """A customer of the target."""
    with httpx.Client(
        base_url=lab.facts["target"]["product_url"],
        headers={"apikey": lab.facts["product"]["anon_key"]},
        trust_env=False,
        timeout=20,
    ) as client:
        signed_up(client, "ada@example.org")
        yield client


@pytest.fixture(scope="module")
def stored(lab: LabRun) -> Iterator[dict[Side, S3Endpoint]]:
    """What the endpoints themselves say."""
    endpoints = {side: S3Endpoint(side, _config(lab, side), 4) for side in Side}
    yield endpoints
    for endpoint in endpoints.values():
        endpoint.close()


def _config(lab: LabRun, side: Side) -> StorageEndpointConfig:
    known = lab.facts["system"]["objects"][side.value]
    names = ("url", "region", "access_key", "secret_key")
    return StorageEndpointConfig.model_validate({name: known[name] for name in names})


def names(client: httpx.Client, **wanted: Any) -> list[str]:
    answer = client.post(f"{ROOT}/list/documents", json=wanted)
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()]


def test_object_when_stored_by_the_product_then_the_endpoint_has_all_of_it(
    client: httpx.Client, stored: dict[Side, S3Endpoint]
) -> None:
    path = f"{ROOT}/documents/plans/a b+c.html"
    headers = {
        "Content-Type": "text/html",
        "Cache-Control": "max-age=60",
        "x-metadata": base64.b64encode(json.dumps({"Colour": "red"}).encode()).decode(),
    }
    assert client.post(path, content=b"<p>one", headers=headers).is_success
    head = stored[Side.TARGET].head("documents", "plans/a b+c.html")
    assert head is not None
    assert (head.size, head.content_type, head.cache_control) == (6, "text/html", "max-age=60")
    assert head.metadata == {"colour": "red"}
    assert stored[Side.SOURCE].head("documents", "plans/a b+c.html") is None

    assert client.post(path, content=b"two").json()["error"] == "Duplicate"
    assert client.post(path, content=b"three", headers={"x-upsert": "true"}).is_success
    read_back = client.get(f"{ROOT}/authenticated/documents/plans/a b+c.html")
    assert (read_back.content, read_back.headers["Cache-Control"]) == (b"three", "no-cache")
    assert client.delete(path).is_success
    assert stored[Side.TARGET].head("documents", "plans/a b+c.html") is None
    assert client.get(path).status_code == 404


def test_objects_when_sent_by_form_and_listed_then_levels_and_order_are_as_asked(
    client: httpx.Client, stored: dict[Side, S3Endpoint]
) -> None:
    for name in ("x/b.txt", "x/y/c.txt", "top.txt"):
        sent = client.post(
            f"{ROOT}/documents/{name}",
            files={"": ("file", b"text", "text/plain")},
            data={"cacheControl": "3600"},
        )
        assert sent.is_success, sent.text
    head = stored[Side.TARGET].head("documents", "top.txt")
    assert head is not None
    assert (head.content_type, head.cache_control) == ("text/plain", "max-age=3600")
    assert names(client) == ["top.txt", "x"]
    assert names(client, sortBy={"column": "name", "order": "desc"}, limit=1) == ["x"]
    assert names(client, prefix="x") == ["b.txt", "y"]
    assert names(client, prefix="x/", search="B.") == ["b.txt"]
    gone = client.request(
        "DELETE", f"{ROOT}/documents", json={"prefixes": ["x/b.txt", "x/y/c.txt", "none"]}
    )
    assert sorted(row["name"] for row in gone.json()) == ["x/b.txt", "x/y/c.txt"]
    assert names(client) == ["top.txt"]
    assert client.post(f"{ROOT}/nowhere/a.txt", content=b"x").status_code == 404


def test_object_when_the_target_is_fenced_then_neither_row_nor_bytes_change(
    lab: LabRun, client: httpx.Client, stored: dict[Side, S3Endpoint]
) -> None:
    path = f"{ROOT}/avatars/kept.png"
    assert client.put(path, content=b"before").is_success
    before = stored[Side.TARGET].head("avatars", "kept.png")
    lab.run("fence", "raise", "target")
    try:
        for answer in (
            client.put(path, content=b"after"),
            client.put(f"{ROOT}/avatars/new.png", content=b"after"),
            client.delete(path),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "read_only")
    finally:
        lab.run("fence", "lift", "target")
    assert stored[Side.TARGET].head("avatars", "kept.png") == before
    assert stored[Side.TARGET].head("avatars", "new.png") is None
    assert client.get(path).content == b"before"


def test_arm_when_repeated_then_the_inventory_is_kept_and_check_knows_of_it(lab: LabRun) -> None:
    armed = lab.run("arm", "--no-continuous")["storage"]
    assert armed["known"] is True
    assert "is kept" in armed["detail"]
    answer = lab.call("--config", lab.facts["config"], "check", "--json")
    findings = [one for one in answer.facts["findings"] if one["part"] == "storage"]
    assert {one["answer"] for one in findings if "is there" in one["question"]} == {"yes"}
    (deletes,) = [one for one in findings if "deletes" in one["question"]]
    assert deletes["answer"] == "yes"
    # The lab's endpoints keep no versions: deletes on the source are final, which is said.
    assert [one["answer"] for one in findings if "had back" in one["question"]] == ["unknown"] * 2


def test_load_when_its_objects_were_synced_then_the_audit_finds_them_and_each_damage(
    lab: LabRun, stored: dict[Side, S3Endpoint]
) -> None:
    load = lab.start_load(users=8, rps=120, seconds=4, objects=True)
    assert load.wait(timeout=90) == 0
    on_target = lab.lab_command(
        *("audit", "--journal", str(lab.journal), "--dsn", lab.facts["target"]["dsn"], "--json")
    ).facts
    assert (on_target["lost"], on_target["wrong"]) == (0, 0)
    assert on_target["objects"] > 5
    before = lab.audit()
    assert before.objects_lost > 0

    assert lab.run("sync", "run")["outcome"] == "succeeded"
    assert lab.run("storage", "sync")["outcome"] == "succeeded"
    assert lab.run("storage", "verify")["differences"] == []
    report = lab.audit()
    assert (report.sentence, report.objects) == (
        f"acknowledged: {report.acknowledged}, lost: 0, wrong: 0",
        on_target["objects"],
    )

    last = {record.key: record for record in read(lab.journal).records}
    alive = [key for key, record in last.items() if key.startswith("objects/") and record.value]
    deleted = [
        key for key, record in last.items() if key.startswith("objects/") and not record.value
    ]
    damaged, stays_without_row, back = alive[0], alive[1], deleted[0]
    source = stored[Side.SOURCE]
    for key, body in ((damaged, b"other bytes"), (back, b"back again")):
        bucket, name = key.removeprefix("objects/").split("/", 1)
        there = source.head(bucket, name)
        description = there or source.head(*_parts(alive[1]))
        assert description is not None
        source.put(bucket, name, body, description, there.etag if there else None)
    with lab.admin("source") as database:
        database.execute(
            "DELETE FROM storage.objects WHERE bucket_id = %s AND name = %s",
            _parts(stays_without_row),
        )
    report = lab.audit()
    assert (report.objects_wrong, report.objects_lost) == (1, 2)
    assert {finding.key for finding in report.lost_examples} == {stays_without_row, back}
    assert [finding.key for finding in report.wrong_examples] == [damaged]


def _parts(key: str) -> tuple[str, str]:
    bucket, _, name = key.removeprefix("objects/").partition("/")
    return bucket, name


def test_object_server_when_killed_then_it_comes_back_with_its_objects(
    lab: LabRun, client: httpx.Client
) -> None:
    path = f"{ROOT}/avatars/safe.png"
    assert client.put(path, content=b"safe", headers={"Content-Type": "image/webp"}).is_success
    os.kill(lab.process_id("target-objects"), signal.SIGKILL)
    until(lambda: client.get(path).status_code == 200, "the objects' server")
    answer = client.get(path)
    assert (answer.content, answer.headers["Content-Type"]) == (b"safe", "image/webp")
