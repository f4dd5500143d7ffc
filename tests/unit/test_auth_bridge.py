"""Sealed tokens, keys' names, and how differences of users are found, without a server."""

import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from pydantic import ValidationError

from failback.cli.readiness import auth as readiness
from failback.cli.readiness.findings import Answer as Found
from failback.config import Estate
from failback.errors import (
    AuthRefusedError,
    ConfigurationError,
    CredentialsError,
    FailbackError,
    UnreachableError,
)
from failback.models.common import Outcome, Side
from failback.models.system import SessionProbe
from failback.providers.auth import FakeAuth, fake_bridge, open_auth
from failback.providers.auth.directory import UserDifferences, _merged
from failback.providers.auth.importing import KeyImport
from failback.providers.auth.sealing import SealedSession, SealedTokens, Secrets
from failback.providers.auth.side import Answer
from failback.providers.auth.tokens import signed, thumbprint
from failback.providers.supabase.answers import SigningKey
from failback.sections.auth import AuthConfig

from support.auth import new_key, public

TOKENS = SealedTokens(
    sessions=(SealedSession(access="an-access-token", refresh="a-refresh-token"),),
    rotated="a-rotated-token",
    expires_at=1.0,
)
AUTH = yaml.safe_load("""
source: {url: "https://source.example/auth/v1/", anon_key: a, service_key: b}
target: {url: "https://target.example/auth/v1", anon_key: c, service_key: d}
""")


def test_tokens_when_sealed_are_not_in_the_text_and_open_with_the_same_key_alone() -> None:
    secrets = Secrets("shop", "a service key", "failback.invalid")
    sealed = secrets.seal(TOKENS)
    assert not any(secret in sealed for secret in ("an-access-token", "a-refresh-token"))
    assert Secrets("shop", "a service key", "other.example").open(sealed) == TOKENS
    for other in (
        Secrets("shop", "another key", "failback.invalid"),
        Secrets("shop2", "a service key", "failback.invalid"),
    ):
        with pytest.raises(ConfigurationError, match="sealed with another key"):
            other.open(sealed)


async def test_probe_when_opened_holds_neither_token_nor_password() -> None:
    fake = FakeAuth()
    probe = await fake_bridge(fake).open_session("rollback-1")
    text = probe.model_dump_json()
    target = fake.sides[Side.TARGET].rows
    secrets = [*target.tokens, *target.sessions, *target.users[probe.user_id]]
    assert secrets
    assert not any(secret in text for secret in secrets)


def test_user_when_derived_differs_by_estate_and_rollback() -> None:
    secrets = Secrets("shop", "key", "failback.invalid")
    assert secrets.email("one") == secrets.email("one") != secrets.email("two")
    assert secrets.email("one") != Secrets("other", "key", "failback.invalid").email("one")
    assert secrets.password("one") != Secrets("shop", "other", "failback.invalid").password("one")
    # bcrypt reads 72 bytes.
    assert 20 < len(secrets.password("one")) <= 72


def test_thumbprint_when_the_key_is_private_is_that_of_its_public_half() -> None:
    # RFC 8037, appendix A.3, in hexadecimal instead of base64url.
    public = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint({**public, "d": "private", "kid": "any"}) == thumbprint(public)
    text = json.dumps(public, sort_keys=True, separators=(",", ":"))
    assert thumbprint(public) == hashlib.sha256(text.encode()).hexdigest()
    assert thumbprint(public) == "90facafea9b1556698540f70c0117a22ea37bd5cf3ed3c47093c1707282b4b89"


async def test_status_when_the_source_has_the_key_under_another_id_does_not_count_it() -> None:
    fake = FakeAuth()
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    fake.sides[Side.TARGET].published = ({**key, "kid": "one"},)
    fake.sides[Side.SOURCE].published = ({**key, "kid": "other"},)
    items = {item.name: item for item in (await fake_bridge(fake).status()).items}
    assert (items["tokens"].outcome, "one" in items["tokens"].detail) == (Outcome.FAILED, True)


def test_token_when_signed_here_is_one_that_others_can_check() -> None:
    secret = "a secret of at least thirty-two bytes"
    claims = jwt.decode(signed(secret), secret, algorithms=["HS256"], audience="authenticated")
    assert claims["role"] == "authenticated"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(signed(secret), secret[::-1], algorithms=["HS256"], audience="authenticated")


@pytest.mark.parametrize(
    ("answer", "trusts"),
    [
        (Answer(200, {"id": "x"}), True),
        (Answer(403, {"code": 403, "error_code": "user_not_found"}), True),
        (Answer(403, {"code": 403, "error_code": "session_not_found"}), True),
        (Answer(403, {"code": "bad_jwt", "message": "invalid JWT"}), False),
        (Answer(401, {"code": 401, "msg": "invalid JWT: unable to verify signature"}), False),
        (Answer(401, {"message": "Invalid authentication credentials"}), None),
        (Answer(404), None),
        (Answer(503, {"error_code": "read_only"}), None),
    ],
)
def test_answer_to_a_token_when_read_says_whether_its_key_is_trusted(
    answer: Answer, trusts: bool | None
) -> None:
    assert answer.trusts is trusts


def test_merge_when_both_sides_are_sorted_pairs_what_they_share() -> None:
    def rows(names: str) -> Iterator[tuple[str, ...]]:
        return ((name, name.upper()) for name in names)

    def shared(one: str, other: str) -> str:
        return "".join(pair[0][0] for pair in _merged(rows(one), rows(other)))

    assert shared("abdf", "bcdg") == "bd"
    assert shared("", "a") == shared("a", "") == ""
    assert shared("xyz", "xyz") == "xyz"


def test_differences_when_looked_at_again_are_those_that_last() -> None:
    first = UserDifferences(("a", "b"), ("c",))
    assert first.lasting(UserDifferences(("b", "z"), ())) == UserDifferences(("b",), ())
    assert not first.lasting(UserDifferences())


async def test_status_when_a_difference_is_only_on_its_way_does_not_report_it() -> None:
    class Late(FakeAuth):
        looks = 0

        async def differences(self) -> UserDifferences:
            self.looks += 1
            if self.looks == 2:
                self.sync()
            return await super().differences()

    fake = Late()
    target = fake.sides[Side.TARGET].rows
    target.users["one"] = ("new@example.org", "x")
    fake.sides[Side.SOURCE].rows.users["one"] = ("old@example.org", "x")
    items = {item.name: item for item in (await fake_bridge(fake).status()).items}
    assert (items["users"].outcome, fake.looks) == (Outcome.SUCCEEDED, 2)


async def _opened(**answers: Callable[..., Awaitable[Answer]]) -> tuple[Any, SessionProbe]:
    """A bridge whose source answers so, and a session whose rows have come."""
    fake = FakeAuth()
    bridge = fake_bridge(fake)
    probe = await bridge.open_session("rollback-1")
    fake.sync()
    for name, answer in answers.items():
        setattr(fake.sides[Side.SOURCE], name, answer)
    return bridge, probe


async def test_session_when_the_source_takes_it_for_another_users_fails() -> None:
    async def user(_token: str) -> Answer:
        return Answer(200, {"id": "somebody else"})

    bridge, probe = await _opened(user=user)
    item = await bridge.accepts(probe)
    assert (item.outcome, item.detail) == (
        Outcome.FAILED,
        "the source takes it for another user's session",
    )


async def test_session_when_the_token_has_ended_meanwhile_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def user(_token: str) -> Answer:
        return Answer(403, {"error_code": "bad_jwt"})

    bridge, probe = await _opened(user=user)
    assert (await bridge.accepts(probe)).outcome is Outcome.FAILED
    monkeypatch.setattr("failback.providers.auth.bridge.time.time", lambda: 1e12)
    assert (await bridge.accepts(probe)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("rotates", "detail"),
    [
        (True, "the refresh token works a second time on the source"),
        (False, "the source did not rotate the refresh token"),
    ],
)
async def test_refresh_when_the_source_takes_a_used_token_again_fails(
    rotates: bool, detail: str
) -> None:
    held: list[SealedTokens] = []
    numbers = itertools.count()

    async def refresh(token: str) -> Answer:
        if token == held[0].rotated:
            return Answer(400, {"error_code": "refresh_token_already_used"})
        following = f"new-{next(numbers)}" if rotates else token
        return Answer(200, {"refresh_token": following, "access_token": "any"})

    async def user(_token: str) -> Answer:
        return Answer(200, {"id": "any"})

    bridge, probe = await _opened(refresh=refresh, user=user)
    held.append(bridge._settings.secrets.open(probe.sealed))
    item = await bridge.refreshes(probe)
    assert (item.outcome, item.detail) == (Outcome.FAILED, detail)


@pytest.mark.parametrize("status", [401, 0])
async def test_close_session_when_one_side_knows_nobody_and_the_other_does_not_tell_is_open(
    status: int,
) -> None:
    fake = FakeAuth()
    bridge = fake_bridge(fake)
    probe = await bridge.open_session("rollback-1")

    async def delete_user(_user: str) -> Answer:
        if not status:
            raise UnreachableError("away")
        return Answer(status)

    fake.sides[Side.TARGET].delete_user = delete_user
    item = await bridge.close_session(probe)
    assert (item.outcome, item.changed) == (Outcome.INCONCLUSIVE, False)
    assert probe.user_id in item.detail


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(401, {"error_code": "no_authorization"}), CredentialsError, "target.service_key"),
        (
            Answer(500, {"error_code": "unexpected_failure"}),
            UnreachableError,
            "did not make a user",
        ),
        (Answer(422, {"error_code": "signup_disabled"}), AuthRefusedError, "signup_disabled"),
    ],
)
async def test_open_session_when_no_user_can_be_made_says_whether_a_retry_may_help(
    answer: Answer, error: type[FailbackError], words: str
) -> None:
    async def create_user(_email: str, _password: str) -> Answer:
        return answer

    fake = FakeAuth()
    fake.sides[Side.TARGET].create_user = create_user
    with pytest.raises(error, match=words):
        await fake_bridge(fake).open_session("rollback-1")


async def test_import_when_the_source_does_not_publish_the_key_in_time_is_not_judged(
    tmp_path: Path,
) -> None:
    class Deaf:
        async def signing_keys(self) -> tuple[SigningKey, ...]:
            return ()

        async def create_signing_key(self, *_: Any) -> SigningKey:
            return SigningKey.model_construct()

        async def aclose(self) -> None:
            """Nothing to give back."""

    fake, key = FakeAuth(), new_key()
    fake.sides[Side.TARGET].published = (public(key),)
    (tmp_path / "key.json").write_text(json.dumps(key))
    bridge = fake_bridge(fake, KeyImport(Deaf(), tmp_path / "key.json", 0.01))
    items = {item.name: item for item in (await bridge.prepare()).items}
    assert (items["signing_key"].outcome, items["signing_key"].changed) == (
        Outcome.INCONCLUSIVE,
        True,
    )
    assert items["tokens"].outcome is Outcome.FAILED


def test_section_when_both_sides_are_one_server_is_refused() -> None:
    assert AuthConfig.model_validate(AUTH).source.url == "https://source.example/auth/v1"
    with pytest.raises(ValidationError, match="the same"):
        AuthConfig.model_validate({**AUTH, "source": AUTH["target"]})
    wrong = {**AUTH, "source": {**AUTH["source"], "url": "source.example"}}
    with pytest.raises(ValidationError, match="http"):
        AuthConfig.model_validate(wrong)


def _estate(**auth: Any) -> Estate:
    return Estate.model_validate(
        {
            "estate": "shop",
            "source": {"dsn": "postgresql://source"},
            "target": {"dsn": "postgresql://target"},
            "traffic": {
                "balancer": {"provider": "haproxy", "runtime_api": "unix:///run/admin.sock"},
                "routes": {"auth": [{"backend": "auth"}]},
            },
            **auth,
        }
    )


def test_bridge_when_opened_needs_the_section_and_a_project_to_import_into() -> None:
    assert open_auth(_estate()) is None
    assert open_auth(_estate(auth=AUTH)) is not None
    with pytest.raises(ConfigurationError, match="supabase"):
        open_auth(_estate(auth={**AUTH, "signing_key": "/nowhere/key.json"}))


async def test_readiness_when_sessions_would_end_says_so_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeAuth()
    fake.sides[Side.SOURCE].trusted = {"another"}
    monkeypatch.setattr(readiness, "open_auth", lambda _: fake_bridge(fake))
    found = {each.question: each for each in await readiness.examine_auth(_estate())}
    assert found["the source's auth answers"].answer is Found.YES
    tokens = found["the source takes the target's tokens"]
    assert (tokens.answer, "auth.signing_key" in tokens.cure) == (Found.NO, True)
    assert found["sessions go on"].answer is Found.NO
    monkeypatch.setattr(readiness, "open_auth", lambda _: None)
    assert await readiness.examine_auth(_estate()) == []
