"""What a configuration switch keeps, on a fake, files, a bucket, addresses and a platform."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.models.system import ItemsReport
from failback.providers.configuration import FakeConfigurationSwitch

from support.object_servers import S3Server, rclone, seaweed
from support.settings_places import (
    VALUES,
    Subject,
    on_a_fake,
    on_a_json_file,
    on_an_env_file,
    on_http,
    on_s3,
    on_supabase,
)

SOURCE = {name: source for name, (source, _) in VALUES.items() if source is not None}
TARGET = {name: target for name, (_, target) in VALUES.items()}
_ALL = ("settings/extra", "settings/password", "auth/auth_url")


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
        "env",
        "json",
        "put",
        "patch",
        "supabase",
        pytest.param("rclone", marks=pytest.mark.servers),
        pytest.param("seaweed", marks=pytest.mark.servers),
    ]
)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    kind: str = request.param
    made: AbstractAsyncContextManager[Subject]
    if kind == "fake":
        made = on_a_fake()
    elif kind == "env":
        made = on_an_env_file(tmp_path)
    elif kind == "json":
        made = on_a_json_file(tmp_path)
    elif kind == "supabase":
        made = on_supabase()
    elif kind in {"put", "patch"}:
        made = on_http(kind)
    else:
        bucket = f"b{abs(hash(request.node.nodeid))}"
        made = on_s3(request.getfixturevalue(f"{kind}_server"), bucket)
    async with made as found:
        yield found


def outcomes(report: ItemsReport) -> dict[str, Outcome]:
    return {item.name: item.outcome for item in report.items}


async def test_switch_to_the_source_and_back_then_every_key_has_that_sides_value(
    subject: Subject,
) -> None:
    there = await subject.switch.switch(Side.SOURCE)
    assert there.outcome is Outcome.SUCCEEDED, there.detail
    assert {item.name for item in there.items if item.changed} == set(_ALL)
    assert subject.held() == SOURCE
    back = await subject.switch.switch(Side.TARGET)
    assert back.outcome is Outcome.SUCCEEDED, back.detail
    assert subject.held() == TARGET


async def test_switch_when_repeated_then_it_changes_nothing_more(subject: Subject) -> None:
    await subject.switch.switch(Side.SOURCE)
    again = await subject.switch.switch(Side.SOURCE)
    assert again.outcome is Outcome.SUCCEEDED, again.detail
    assert not any(item.changed for item in again.items)
    assert subject.held() == SOURCE


async def test_switch_when_a_crash_left_half_of_it_done_then_the_rest_is_done(
    subject: Subject,
) -> None:
    subject.put("auth_url", SOURCE["auth_url"])
    report = await subject.switch.switch(Side.SOURCE)
    assert report.outcome is Outcome.SUCCEEDED, report.detail
    assert {item.name for item in report.items if item.changed} == set(_ALL) - {"auth/auth_url"}
    assert subject.held() == SOURCE


async def test_status_then_it_says_whose_value_each_key_has_and_changes_nothing(
    subject: Subject,
) -> None:
    subject.put("password", SOURCE["password"])
    report = await subject.switch.status()
    assert report.outcome is Outcome.SUCCEEDED
    told = {item.name: item.detail for item in report.items}
    assert "the target's value" in told["auth/auth_url"]
    assert "the source's value" in told["settings/password"]
    assert subject.held() == {**TARGET, "password": SOURCE["password"]}


async def test_drift_when_switched_then_that_key_is_refused_and_the_others_are_not(
    subject: Subject,
) -> None:
    subject.put("auth_url", "somebody else's")
    status = await subject.switch.status()
    assert outcomes(status)["auth/auth_url"] is Outcome.FAILED
    report = await subject.switch.switch(Side.SOURCE)
    assert [name for name, one in outcomes(report).items() if one is Outcome.FAILED] == [
        "auth/auth_url"
    ]
    assert subject.held() == {**SOURCE, "auth_url": "somebody else's"}


async def test_reports_then_no_value_is_in_them(subject: Subject) -> None:
    subject.put("password", "a drifted secret")
    reports = [
        await subject.switch.status(),
        await subject.switch.switch(Side.SOURCE),
        await subject.switch.switch(Side.TARGET),
    ]
    told = "".join(report.model_dump_json() for report in reports)
    values = {"a drifted secret", *SOURCE.values(), *TARGET.values()}
    assert not [value for value in values if value in told]


async def test_place_when_gone_then_every_key_says_so_or_it_can_be_tried_again(
    subject: Subject,
) -> None:
    subject.lose()
    for side in (None, Side.SOURCE):
        try:
            report = await (subject.switch.switch(side) if side else subject.switch.status())
        except UnreachableError:
            continue
        wrong = Outcome.FAILED if side else Outcome.INCONCLUSIVE
        assert set(outcomes(report).values()) == {wrong}
        assert not any(item.changed for item in report.items)
        assert all(item.detail for item in report.items)


async def test_fake_when_told_to_fail_then_it_does_once() -> None:
    fake = FakeConfigurationSwitch()
    fake.fail("switch")
    with pytest.raises(UnreachableError):
        await fake.switch(Side.SOURCE)
    report = await fake.switch(Side.SOURCE)
    assert report.outcome is Outcome.SUCCEEDED
    assert fake.place.held["AUTH_URL"] == "https://source.test/auth_url"
    assert [call.arguments for call in fake.called("switch")] == [(Side.SOURCE,)] * 2
