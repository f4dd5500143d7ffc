"""The client of the management API and the lab's stand-in, both held to Supabase's description."""

import hashlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    FailbackError,
    MissingRightError,
    PlatformMissingError,
    PlatformRefusedError,
    UnreachableError,
)
from failback.lab.processes import free_port
from failback.providers.supabase import SupabaseManagement
from failback.providers.supabase.answers import FunctionStatus, SigningKeyStatus
from failback.sections.supabase import SupabaseConfig

from support.management import REF, TOKEN, RunningManagement, serving

CODE = {"index.ts": b"Deno.serve(() => new Response('hi'))", "lib/words.ts": b"export {}"}


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[RunningManagement]:
    async with serving(tmp_path) as running:
        yield running
    running.watch.hold()


@pytest.fixture
async def client(management: RunningManagement) -> AsyncIterator[SupabaseManagement]:
    client = management.client()
    yield client
    await client.aclose()


async def test_project_then_it_is_up(client: SupabaseManagement) -> None:
    project = await client.project()
    assert (project.ref, project.status) == (REF, "ACTIVE_HEALTHY")


async def test_function_deployed_updated_and_deleted_then_each_is_seen(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    assert await client.functions() == ()
    first = await client.deploy_function("hello", CODE, entrypoint="index.ts")
    assert (first.slug, first.status, first.version) == ("hello", FunctionStatus.ACTIVE, 1)
    again = await client.deploy_function("hello", CODE, entrypoint="index.ts", verify_jwt=False)
    assert (again.id, again.version, again.verify_jwt) == (first.id, 2, False)
    assert again.ezbr_sha256 == first.ezbr_sha256
    other = await client.deploy_function(
        "hello", {**CODE, "index.ts": b"// other"}, entrypoint="index.ts"
    )
    assert other.ezbr_sha256 != first.ezbr_sha256
    renamed = await client.update_function("hello", name="Greeting")
    assert (renamed.name, renamed.version) == ("Greeting", 3)
    assert await client.functions() == (await client.function("hello"),)
    await client.delete_function("hello")
    with pytest.raises(PlatformMissingError, match="GET /functions/hello"):
        await client.function("hello")
    assert "POST /v1/projects/{ref}/functions/deploy 201" in management.watch.seen


async def test_secrets_set_and_deleted_then_only_digests_are_answered(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    await client.put_secrets({"MODEL_KEY": "one", "LINK_KEY": "two"})
    await client.put_secrets({"MODEL_KEY": "three"})
    told = {secret.name: secret.value for secret in await client.secrets()}
    assert told["MODEL_KEY"] == hashlib.sha256(b"three").hexdigest()
    assert management.secrets() == {"MODEL_KEY": "three", "LINK_KEY": "two"}
    await client.delete_secrets(["LINK_KEY", "NEVER_SET"])
    assert [secret.name for secret in await client.secrets()] == ["MODEL_KEY"]


async def test_secret_with_a_reserved_name_then_is_refused_before_it_is_sent(
    client: SupabaseManagement,
) -> None:
    with pytest.raises(ConfigurationError, match="SUPABASE_URL"):
        await client.put_secrets({"SUPABASE_URL": "x"})
    assert await client.secrets() == ()


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA", "HS256"])
async def test_signing_key_made_then_used_then_others_are_retired(
    client: SupabaseManagement, management: RunningManagement, algorithm: str
) -> None:
    legacy = await client.import_legacy_signing_key()
    assert (legacy.status, legacy.algorithm) == (SigningKeyStatus.IN_USE, "HS256")
    assert legacy.public_jwk is None
    made = await client.create_signing_key(algorithm)
    assert made.status is SigningKeyStatus.STANDBY
    used = await client.update_signing_key(made.id, SigningKeyStatus.IN_USE)
    assert used.status is SigningKeyStatus.IN_USE
    assert (await client.legacy_signing_key()).status is SigningKeyStatus.PREVIOUSLY_USED
    assert (await client.delete_signing_key(legacy.id)).id == legacy.id
    assert [key.id for key in await client.signing_keys()] == [made.id]
    assert [key["kid"] for key in management.signing_keys()] == [made.id]


async def test_signing_key_imported_then_its_tokens_verify_and_its_private_half_is_not_told(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    made = await client.create_signing_key("ES256")
    private = next(key for key in management.signing_keys() if key["kid"] == made.id)
    await client.delete_signing_key(made.id)
    own = {name: private[name] for name in ("kty", "crv", "x", "y", "d", "kid")}
    imported = await client.create_signing_key("ES256", own)
    assert imported.id == made.id
    assert imported.public_jwk is not None
    assert "d" not in imported.public_jwk
    key = jwt.PyJWK.from_dict(private)
    token = jwt.encode({"sub": "ada"}, key, algorithm="ES256")
    public = jwt.PyJWK.from_dict(imported.public_jwk)
    assert jwt.decode(token, public, algorithms=["ES256"]) == {"sub": "ada"}


async def test_signing_key_in_use_then_it_is_not_removed(client: SupabaseManagement) -> None:
    legacy = await client.import_legacy_signing_key()
    with pytest.raises(PlatformRefusedError, match="use another one first"):
        await client.delete_signing_key(legacy.id)
    with pytest.raises(PlatformRefusedError, match="migrated already"):
        await client.import_legacy_signing_key()


async def test_backups_then_a_restore_inside_the_span_begins_and_outside_is_refused(
    client: SupabaseManagement,
) -> None:
    backups = await client.backups()
    assert backups.pitr_enabled
    earliest = backups.physical_backup_data.earliest_physical_backup_date_unix
    assert earliest is not None
    with pytest.raises(PlatformRefusedError, match="outside of"):
        await client.restore_to(earliest - 1)
    await client.restore_to(earliest)
    assert (await client.project()).status == "RESTORING"


async def test_restore_point_made_then_it_can_be_gone_back_to(client: SupabaseManagement) -> None:
    with pytest.raises(PlatformMissingError):
        await client.restore_point("before")
    assert (await client.create_restore_point("before")).status == "PENDING"
    assert (await client.restore_point("before")).status == "AVAILABLE"
    await client.undo("before")
    with pytest.raises(ConfigurationError, match="1 to 20"):
        await client.create_restore_point("x" * 21)


async def test_state_when_the_stand_in_starts_again_then_is_as_it_was(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        client = first.client()
        await client.deploy_function("hello", CODE, entrypoint="index.ts")
        await client.put_secrets({"MODEL_KEY": "one"})
        key = await client.import_legacy_signing_key()
        await client.aclose()
    async with serving(tmp_path) as second:
        client = second.client()
        assert [one.slug for one in await client.functions()] == ["hello"]
        assert [one.name for one in await client.secrets()] == ["MODEL_KEY"]
        assert await client.legacy_signing_key() == key
        await client.aclose()


@pytest.mark.parametrize(("status", "retry_after"), [(429, "0"), (500, "")])
async def test_request_when_the_api_is_busy_then_is_sent_again(
    client: SupabaseManagement, management: RunningManagement, status: int, retry_after: str
) -> None:
    await management.trouble(status=status, times=3, retry_after=retry_after)
    assert (await client.project()).ref == REF


async def test_request_when_the_api_stays_busy_then_is_given_up(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    await management.trouble(status=500, times=9)
    with pytest.raises(UnreachableError, match=r"HTTP 500 \(try 4 of 4\)") as raised:
        await client.project()
    assert raised.value.retryable


async def test_request_when_it_is_told_to_wait_longer_than_allowed_then_does_not(
    management: RunningManagement,
) -> None:
    client = management.client(patience_seconds=1.0)
    await management.trouble(status=429, times=9, retry_after="120")
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="try 1 of 4"):
        await client.project()
    await client.aclose()
    assert time.monotonic() - began < 60


async def test_key_when_the_answer_to_its_import_is_lost_then_it_is_not_made_twice(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    await management.trouble(status=500, after_the_work=True)
    with pytest.raises(UnreachableError, match="try 1 of"):
        await client.create_signing_key("ES256")
    assert len(await client.signing_keys()) == 1


async def test_key_when_the_api_did_nothing_with_the_request_then_it_is_made(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    await management.trouble(status=429, retry_after="0")
    await client.create_signing_key("ES256")
    assert len(await client.signing_keys()) == 1


async def test_token_when_it_is_wrong_then_the_error_says_so_and_shows_none(
    management: RunningManagement, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = management.client(access_token="sbp_another-secret")
    with pytest.raises(CredentialsError, match=r"supabase\.access_token") as raised:
        await client.functions()
    await client.aclose()
    assert "sbp_" not in f"{raised.value} {raised.value!r} {caplog.text} {management.config()}"


async def test_right_when_it_is_missing_then_the_error_says_so(
    client: SupabaseManagement, management: RunningManagement
) -> None:
    await management.trouble(status=403)
    with pytest.raises(MissingRightError, match="its scope"):
        await client.secrets()


async def test_project_when_it_is_another_then_the_error_says_so(
    management: RunningManagement,
) -> None:
    client = management.client(ref="z" * 20)
    with pytest.raises(PlatformMissingError, match=r"supabase\.ref"):
        await client.project()
    await client.aclose()


async def test_api_when_nobody_listens_then_unreachable() -> None:
    api_url = f"http://127.0.0.1:{free_port()}"
    config = SupabaseConfig(ref=REF, access_token=TOKEN, api_url=api_url)
    client = SupabaseManagement(config, pause_seconds=0.01)
    with pytest.raises(UnreachableError, match="ConnectError"):
        await client.project()
    await client.aclose()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json={"ref": 1}), PlatformRefusedError),
        (httpx.Response(200, text="<html>"), PlatformRefusedError),
        (httpx.Response(302, headers={"Location": "/elsewhere"}), PlatformRefusedError),
        (httpx.Response(400, json={"message": ["a: is wrong", f"{TOKEN}"]}), PlatformRefusedError),
        (httpx.Response(400, json=["odd"]), PlatformRefusedError),
    ],
)
async def test_answer_in_an_odd_form_then_a_plain_error(
    answer: httpx.Response, error: type[FailbackError]
) -> None:
    config = SupabaseConfig(ref=REF, access_token=TOKEN)
    client = SupabaseManagement(config, httpx.MockTransport(lambda _request: answer))
    with pytest.raises(error) as raised:
        await client.project()
    await client.aclose()
    assert TOKEN not in str(raised.value)


async def test_name_that_is_none_then_is_no_part_of_a_path(client: SupabaseManagement) -> None:
    with pytest.raises(ConfigurationError, match="no name"):
        await client.function("../secrets")
    assert await client.functions() == ()
