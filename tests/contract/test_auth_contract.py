"""What an auth bridge promises, on the fake and on two products with real databases."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from failback.errors import AuthRefusedError, ConfigurationError, UnreachableError
from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.providers.auth.bridge import SESSIONS

from support.auth import DESCRIPTION, InMemory, OnProducts, Subject, auth_watch, new_key
from support.openapi import described
from support.products import Products, running


@pytest.fixture(scope="module")
def both_products(
    postgres_pair: PostgresPair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Products]:
    pair = DatabasePair("auth_contract", postgres_pair, "test-only")
    for side in Side:
        create_database(postgres_pair.server(side), side, pair.name)
    try:
        with running(pair, tmp_path_factory.mktemp("products")) as both:
            both.reuse_seconds = 0.1
            for side in Side:
                both.start(side)
            yield both
    finally:
        for side in Side:
            drop_database(postgres_pair.server(side), pair.name)


@pytest.fixture(params=["fake", pytest.param("products", marks=pytest.mark.servers)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield InMemory()
        return
    made = OnProducts(request.getfixturevalue("both_products"))
    try:
        yield made
    finally:
        await made.aclose()
        made.clean()


def items(report: ItemsReport) -> dict[str, Item]:
    return {item.name: item for item in report.items}


def outcomes(report: ItemsReport) -> dict[str, Outcome]:
    return {item.name: item.outcome for item in report.items}


async def test_status_when_both_sides_share_what_signs_says_that_sessions_go_on(
    subject: Subject,
) -> None:
    user = await subject.sign_up(Side.TARGET, "ada@example.org")
    subject.sync()
    report = await subject.bridge.status()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert list(items(report)) == [
        "source_answers",
        "target_answers",
        "tokens",
        "sessions",
        "users",
    ]
    assert items(report)["sessions"].detail == "1 sessions go on"
    assert subject.users(Side.TARGET) == {user}


async def test_status_when_the_source_lacks_the_targets_key_says_how_many_sessions_would_end(
    subject: Subject,
) -> None:
    key = new_key()
    subject.sign_with(key)
    for name in ("ada", "bob"):
        await subject.sign_up(Side.TARGET, f"{name}@example.org")
    found = items(await subject.bridge.status())
    assert found["tokens"].outcome is Outcome.FAILED
    assert key["kid"] in found["tokens"].detail
    assert "auth.signing_key" in found["tokens"].detail
    assert found["sessions"].outcome is Outcome.FAILED
    assert "2 sessions would end" in found["sessions"].detail


async def test_status_when_the_source_is_fenced_writes_nothing_there(subject: Subject) -> None:
    subject.fence(Side.SOURCE)
    report = await subject.bridge.status()
    assert items(report)["tokens"].outcome is Outcome.SUCCEEDED, report


async def test_status_when_the_target_takes_no_writes_does_not_guess(subject: Subject) -> None:
    await subject.sign_up(Side.TARGET, "ada@example.org")
    subject.fence(Side.TARGET)
    found = items(await subject.bridge.status())
    assert found["tokens"].outcome is Outcome.INCONCLUSIVE
    assert "auth.jwt_secret" in found["tokens"].detail
    assert found["sessions"].outcome is Outcome.INCONCLUSIVE
    assert "1 sessions may end" in found["sessions"].detail


async def test_status_when_users_differ_names_them(subject: Subject) -> None:
    same, renamed = [await subject.sign_up(Side.TARGET, f"{n}@example.org") for n in "ab"]
    subject.sync()
    subject.rename(Side.TARGET, renamed, "other@example.org")
    found = items(await subject.bridge.status())["users"]
    assert (found.outcome, same in found.detail) == (Outcome.INCONCLUSIVE, False)
    assert renamed in found.detail

    await subject.sign_up(Side.SOURCE, "clash@example.org")
    clashing = await subject.sign_up(Side.TARGET, "clash@example.org")
    found = items(await subject.bridge.status())["users"]
    assert found.outcome is Outcome.FAILED
    assert f"cannot go back ({clashing})" in found.detail


async def test_prepare_when_a_key_is_to_be_imported_makes_the_source_trust_it_once(
    subject: Subject, tmp_path: Path
) -> None:
    key, file = new_key(), tmp_path / "key.json"
    # As a tool may have written it: the id that tokens have is another one.
    file.write_text(json.dumps({**key, "kid": "mine", "key_ops": ["sign"]}))
    subject.sign_with(key)
    bridge = subject.importing(file)
    report = await bridge.prepare()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert items(report)["signing_key"].changed
    again = await bridge.prepare()
    assert list(items(again)) == ["tokens", "sessions"]
    assert again.outcome is Outcome.SUCCEEDED


async def test_prepare_when_the_file_holds_another_key_imports_nothing(
    subject: Subject, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(new_key()))
    subject.sign_with(new_key())
    report = await subject.importing(file).prepare()
    assert outcomes(report)["signing_key"] is Outcome.FAILED
    assert outcomes(report)["tokens"] is Outcome.FAILED
    file.write_text("no key")
    with pytest.raises(ConfigurationError, match=r"auth\.signing_key"):
        await subject.importing(file).prepare()


async def test_prepare_when_nothing_is_configured_changes_nothing_and_says_so(
    subject: Subject,
) -> None:
    subject.sign_with(new_key())
    report = await subject.bridge.prepare()
    assert outcomes(report) == {"tokens": Outcome.FAILED, "sessions": Outcome.FAILED}
    assert not any(item.changed for item in report.items)


async def test_open_session_when_repeated_meets_the_same_user(subject: Subject) -> None:
    first = await subject.bridge.open_session("rollback-1")
    again = await subject.bridge.open_session("rollback-1")
    other = await subject.bridge.open_session("rollback-2")
    assert first.user_id == again.user_id != other.user_id
    assert subject.users(Side.TARGET) == {first.user_id, other.user_id}


async def test_open_session_when_the_target_is_fenced_is_refused(subject: Subject) -> None:
    subject.fence(Side.TARGET)
    with pytest.raises(AuthRefusedError, match="read_only"):
        await subject.bridge.open_session("rollback-1")


async def test_session_when_its_rows_have_come_is_accepted_by_a_fenced_source(
    subject: Subject,
) -> None:
    subject.fence(Side.SOURCE)
    probe = await subject.bridge.open_session("rollback-1")
    early = await subject.bridge.accepts(probe)
    assert early.outcome is Outcome.FAILED
    assert "data.tables" in early.detail
    subject.sync()
    assert (await subject.bridge.accepts(probe)).outcome is Outcome.SUCCEEDED


async def test_session_when_its_key_is_not_trusted_is_refused(subject: Subject) -> None:
    subject.sign_with(new_key())
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    item = await subject.bridge.accepts(probe)
    assert item.outcome is Outcome.FAILED
    assert "bad_jwt" in item.detail


async def test_refresh_when_the_rows_have_come_works_once_and_old_tokens_stay_rotated(
    subject: Subject,
) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    for _ in range(SESSIONS):
        item = await subject.bridge.refreshes(probe)
        assert item.outcome is Outcome.SUCCEEDED, item
    spent = await subject.bridge.refreshes(probe)
    assert spent.outcome is Outcome.INCONCLUSIVE
    assert "every session of the probe" in spent.detail


async def test_refresh_when_the_rows_have_not_come_fails(subject: Subject) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    item = await subject.bridge.refreshes(probe)
    assert item.outcome is Outcome.FAILED
    assert "refresh_token_not_found" in item.detail


async def test_refresh_when_the_source_has_forgotten_a_rotation_fails(subject: Subject) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    subject.forget_rotation()
    item = await subject.bridge.refreshes(probe)
    assert item.outcome is Outcome.FAILED
    assert "rotated works again" in item.detail


async def test_refresh_when_the_source_is_fenced_is_not_judged(subject: Subject) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    subject.fence(Side.SOURCE)
    assert (await subject.bridge.refreshes(probe)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("writing", list(Side))
async def test_close_session_when_one_side_takes_writes_deletes_our_user_there(
    subject: Subject, writing: Side
) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    subject.fence(writing.other)
    closed = await subject.bridge.close_session(probe)
    assert (closed.outcome, closed.changed) == (Outcome.SUCCEEDED, True), closed
    assert subject.users(writing) == set()
    assert subject.users(writing.other) == {probe.user_id}
    again = await subject.bridge.close_session(probe)
    assert (again.outcome, again.changed) == (Outcome.SUCCEEDED, False), again


async def test_close_session_when_neither_side_takes_writes_says_who_is_left(
    subject: Subject,
) -> None:
    probe = await subject.bridge.open_session("rollback-1")
    subject.sync()
    subject.fence(*Side)
    closed = await subject.bridge.close_session(probe)
    assert closed.outcome is Outcome.INCONCLUSIVE
    assert probe.user_id in closed.detail


@pytest.mark.servers
async def test_requests_and_answers_when_held_to_the_published_description_conform(
    both_products: Products,
) -> None:
    described(DESCRIPTION)
    watch = auth_watch()
    assert watch is not None
    subject = OnProducts(both_products, watch)
    try:
        probe = await subject.bridge.open_session("rollback-1")
        subject.sync()
        assert (await subject.bridge.status()).outcome is Outcome.SUCCEEDED
        assert (await subject.bridge.accepts(probe)).outcome is Outcome.SUCCEEDED
        assert (await subject.bridge.refreshes(probe)).outcome is Outcome.SUCCEEDED
        for _ in range(2):
            assert (await subject.bridge.close_session(probe)).outcome is Outcome.SUCCEEDED
    finally:
        await subject.aclose()
        subject.clean()
    watch.hold()
    assert watch.seen >= {
        "GET /health 200",
        "GET /user 200",
        "POST /token 200",
        "POST /token 400",
        "DELETE /admin/users/{userId} 200",
        "DELETE /admin/users/{userId} 404",
    }


async def test_side_when_it_does_not_answer_is_an_item_for_status_and_an_error_else() -> None:
    subject = InMemory()
    probe = await subject.bridge.open_session("rollback-1")
    subject.fake.sides[Side.SOURCE].away = True
    report = await subject.bridge.status()
    assert outcomes(report)["source_answers"] is Outcome.INCONCLUSIVE
    assert outcomes(report)["target_answers"] is Outcome.SUCCEEDED
    asked: list[Any] = [subject.bridge.accepts, subject.bridge.refreshes]
    for ask in asked:
        with pytest.raises(UnreachableError):
            await ask(probe)
    with pytest.raises(UnreachableError):
        await subject.bridge.prepare()
