"""The configuration switch: what is refused, what comes in between, and what files keep."""

import fcntl
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from failback.errors import (
    CredentialsError,
    MissingRightError,
    SettingsChangedError,
    SettingsError,
    UnreachableError,
)
from failback.models.common import Outcome, Side
from failback.providers.configuration import Change, FakePlace, Place, PlacesSwitch, Reading, files
from failback.providers.configuration.env_file import EnvFilePlace
from failback.providers.configuration.files import SettingsFile
from failback.providers.configuration.http import HttpDocumentPlace
from failback.sections.configuration import (
    ConfigurationSwitchConfig,
    HttpDocumentConfig,
    KeyConfig,
)

from support.settings_places import TOKEN, SettingsServer, key_of


def switch_over(place: Place, *keys: KeyConfig) -> PlacesSwitch:
    return PlacesSwitch(keys or (key_of(),), {"there": place}, pause_seconds=0.001)


class _Forgetful(FakePlace):
    """Takes what is written and shows it only from the third reading on, or never."""

    def __init__(self, lag: int) -> None:
        super().__init__()
        self.held, self.lag = {"A": "t"}, lag

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        self.pending = list(changes)

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        if hasattr(self, "pending"):
            self.lag -= 1
            if self.lag == 0:
                self.held.update({change.key.key: change.value for change in self.pending})
        return await super().read(keys)


@pytest.mark.parametrize(("lag", "outcome"), [(3, Outcome.SUCCEEDED), (9, Outcome.FAILED)])
async def test_value_when_written_then_it_counts_once_it_was_read_back(
    lag: int, outcome: Outcome
) -> None:
    report = await switch_over(_Forgetful(lag)).switch(Side.SOURCE)
    (item,) = report.items
    assert (item.outcome, item.changed) == (outcome, True)


async def test_place_when_it_fails_twice_then_the_third_try_counts() -> None:
    place = FakePlace()
    place.held["A"] = "t"
    place.fail("write", 2)
    report = await switch_over(place).switch(Side.SOURCE)
    assert report.outcome is Outcome.SUCCEEDED
    assert len(place.called("write")) == 3


async def test_place_when_it_is_away_and_nothing_else_is_there_then_raised_to_be_repeated() -> None:
    place = FakePlace()
    place.fail("read", None)
    with pytest.raises(UnreachableError):
        await switch_over(place).status()


async def test_place_when_one_of_two_is_away_then_the_other_is_switched() -> None:
    away, here = FakePlace(), FakePlace()
    away.fail("read", None)
    here.held["A"] = "t"
    keys = (key_of(), key_of(name="b", place="away"))
    switch = PlacesSwitch(keys, {"there": here, "away": away}, pause_seconds=0.001)
    report = await switch.switch(Side.SOURCE)
    assert [item.outcome for item in report.items] == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert here.held == {"A": "s"}


async def test_place_when_refused_for_good_then_an_item_without_repeats() -> None:
    place = FakePlace()
    place.fail("read", None, CredentialsError("Refused.", "Correct the token."))
    report = await switch_over(place).switch(Side.SOURCE)
    assert [item.detail for item in report.items] == ["Refused. Correct the token."]
    assert len(place.called("read")) == 1


async def test_change_by_another_in_between_then_their_value_is_not_overwritten() -> None:
    class Meddled(FakePlace):
        async def write(self, changes: Sequence[Change], seen: str) -> None:
            self.put("A", "theirs")
            await super().write(changes, seen)

    place = Meddled()
    place.held["A"] = "t"
    report = await switch_over(place).switch(Side.SOURCE)
    assert report.outcome is Outcome.FAILED
    assert not report.items[0].changed
    assert place.held == {"A": "theirs"}


async def test_change_by_another_to_what_is_wanted_then_it_is_not_ours() -> None:
    class Helped(FakePlace):
        async def write(self, changes: Sequence[Change], seen: str) -> None:
            self.put("A", "s")
            await super().write(changes, seen)

    place = Helped()
    place.held["A"] = "t"
    (item,) = (await switch_over(place).switch(Side.SOURCE)).items
    assert (item.outcome, item.changed) == (Outcome.SUCCEEDED, False)


async def test_drift_when_forced_then_overwritten_and_told_before() -> None:
    place = FakePlace()
    place.held["A"] = "drifted"
    switch = switch_over(place, key_of(force=True))
    (item,) = (await switch.status()).items
    assert item.outcome is Outcome.SUCCEEDED
    assert "to be overwritten" in item.detail
    assert (await switch.switch(Side.SOURCE)).outcome is Outcome.SUCCEEDED
    assert place.held == {"A": "s"}


async def test_same_value_on_both_sides_then_there_is_nothing_to_do() -> None:
    place = FakePlace()
    place.held["A"] = "s"
    switch = switch_over(place, key_of(target="s"))
    (item,) = (await switch.status()).items
    assert "both sides" in item.detail
    assert not (await switch.switch(Side.TARGET)).items[0].changed


async def test_http_document_when_changed_in_between_then_the_condition_fails() -> None:
    async with SettingsServer(json.dumps({"A": "t", "B": 1})).running() as server:
        for method in ("put", "patch"):
            server.text = json.dumps({"A": "t", "B": 1})
            config = HttpDocumentConfig.model_validate(
                {"url": server.url, "method": method, "token": TOKEN}
            )
            place, key = HttpDocumentPlace(config, "there"), key_of(key="/A")
            reading = await place.read([key])
            server.meddle = lambda: setattr(server, "text", json.dumps({"A": "theirs"}))
            with pytest.raises(SettingsChangedError):
                await place.write([Change(key, "s")], reading.seen)
            server.meddle = lambda: None
            assert json.loads(server.text) == {"A": "theirs"}
            await place.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsError),
        (403, MissingRightError),
        (404, SettingsError),
        (503, UnreachableError),
    ],
)
async def test_http_document_when_refused_then_the_error_has_no_address(
    status: int, error: type[Exception]
) -> None:
    async with SettingsServer("{}", [status]).running() as server:
        config = HttpDocumentConfig.model_validate({"url": f"{server.url}?key=x", "token": TOKEN})
        place = HttpDocumentPlace(config, "there")
        with pytest.raises(error) as caught:
            await place.read([key_of(key="/A")])
        await place.aclose()
    assert "key=x" not in str(caught.value)
    assert str(status) in str(caught.value)


async def test_http_patch_when_a_pointer_leads_through_a_list_then_refused() -> None:
    async with SettingsServer(json.dumps({"A": ["t"]})).running() as server:
        place = HttpDocumentPlace(
            HttpDocumentConfig.model_validate({"url": server.url, "token": TOKEN}), "there"
        )
        report = await switch_over(place, key_of(key="/A/0")).switch(Side.SOURCE)
        await place.aclose()
    assert "PATCH cannot reach" in report.detail


def test_file_when_changed_then_mode_owner_and_link_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "release" / ".env", tmp_path / ".env"
    real.parent.mkdir()
    real.write_text("A=t\n")
    real.chmod(0o2640)
    if os.geteuid() == 0:
        os.chown(real, 12345, 23456)
        real.chmod(0o2640)
    link.symlink_to(real)
    before = real.stat()
    file = SettingsFile(link)
    _, seen = file.read()
    file.change(seen, lambda text: text.replace("t", "s"))
    after = real.stat()
    assert link.is_symlink()
    assert real.read_text() == "A=s\n"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert list(real.parent.iterdir()) == [real]


def test_file_when_a_crash_left_a_draft_then_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=t\n")
    (tmp_path / "..env.failback").write_text("half of")
    file = SettingsFile(path)
    file.change(file.read()[1], lambda _: "A=s\n")
    assert path.read_text() == "A=s\n"
    assert list(tmp_path.iterdir()) == [path]


def test_file_when_changed_by_another_then_theirs_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=t\n")
    file = SettingsFile(path)
    _, seen = file.read()

    def meddling(text: str) -> str:
        path.write_text("A=theirs\n")
        return text.replace("t", "s")

    with pytest.raises(SettingsChangedError):
        file.change(seen, meddling)
    with pytest.raises(SettingsChangedError):
        file.change(seen, str)
    assert path.read_text() == "A=theirs\n"
    assert list(tmp_path.iterdir()) == [path]


def test_file_when_another_is_changing_it_then_it_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = tmp_path / ".env", threading.Event()
    path.write_text("A=t\n")
    monkeypatch.setattr(files.time, "sleep", lambda _: waits.set())
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    file = SettingsFile(path)
    _, seen = file.read()
    changing = threading.Thread(target=lambda: file.change(seen, lambda _: "A=s\n"))
    changing.start()
    assert waits.wait(10)
    assert path.read_text() == "A=t\n"
    os.close(holder)
    changing.join(10)
    assert path.read_text() == "A=s\n"


def test_file_when_missing_or_no_text_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no file"):
        SettingsFile(tmp_path / ".env").read()
    (tmp_path / ".env").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="no UTF-8"):
        SettingsFile(tmp_path / ".env").read()
    with pytest.raises(SettingsError, match="cannot be read"):
        SettingsFile(tmp_path).read()


async def test_variable_when_set_twice_then_that_key_fails_and_the_others_do_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".env"
    path.write_text("A=t\nA=t\nB=t\n")
    switch = switch_over(EnvFilePlace(path), key_of(), key_of(name="b", key="B"))
    report = await switch.switch(Side.SOURCE)
    assert [item.outcome for item in report.items] == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert path.read_text() == "A=t\nA=t\nB=s\n"


@pytest.mark.parametrize(
    ("place", "key", "problem"),
    [
        ({}, {}, "a place is one of env_file"),
        ({"env_file": "x", "json_file": "y"}, {}, "a place is one of env_file"),
        ({"env_file": "x"}, {"place": "nowhere"}, "no place is called 'nowhere'"),
        ({"env_file": "x"}, {"key": "a b"}, "no name of a variable"),
        ({"env_file": "x"}, {"form": "json", "source": "1", "target": "2"}, "values of env_file"),
        ({"json_file": "x"}, {"key": "a.b"}, "write /a/b"),
        ({"json_file": "x"}, {"key": "/a", "form": "json", "source": "{"}, "source is no JSON"),
        ({"json_file": "x"}, {"key": "", "target": None}, "cannot be null"),
        ({"http": {"url": "http://x"}}, {"key": ""}, "name a pointer"),
        ({"supabase_secrets": True}, {"key": "SUPABASE_URL"}, "keeps names with SUPABASE_"),
        ({"env_file": "x"}, {"source": None, "target": None}, "both null"),
        ({"env_file": "x"}, {"source": "a\0"}, "NUL"),
    ],
)
def test_section_when_it_does_not_fit_then_it_says_why(
    place: dict[str, Any], key: dict[str, Any], problem: str
) -> None:
    fields = {"name": "a", "place": "there", "key": "A", "source": "s3cret", "target": "t", **key}
    with pytest.raises(ValidationError, match=problem) as caught:
        ConfigurationSwitchConfig.model_validate({"places": {"there": place}, "keys": [fields]})
    told = "".join(one["msg"] for one in caught.value.errors(include_input=False))
    assert "s3cret" not in told


def test_section_when_keys_overlap_then_refused() -> None:
    keys = [
        {"name": name, "place": "there", "key": key, "source": "1", "target": "2"}
        for name, key in (("a", "/x"), ("b", "/x/y"))
    ]
    with pytest.raises(ValidationError, match="are the same value, or in it"):
        ConfigurationSwitchConfig.model_validate(
            {"places": {"there": {"json_file": "x"}}, "keys": keys}
        )
