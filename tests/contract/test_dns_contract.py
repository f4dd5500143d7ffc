"""What every DNS provider keeps, on the fake and on real name servers."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from failback.errors import (
    CredentialsError,
    DnsRefusedError,
    FailbackError,
    UnreachableError,
)
from failback.lab.names import KEY_NAME
from failback.models.common import Side
from failback.models.traffic import DnsRecord
from failback.ports import DnsProvider
from failback.providers.dns import FakeDnsProvider, Rfc2136DnsProvider
from failback.providers.dry_run import DryRunDns, DryRunJournal
from failback.sections.routing import TsigConfig

from support.dns_server import API, SECRET, config, seen

AUTH = DnsRecord(name="auth.shop.test.", source="auth.source.test.", target="auth.target.test.")
NEW = DnsRecord(name="new.shop.test.", source="new.source.test.", target="new.target.test.", ttl=5)


def _fake(request: pytest.FixtureRequest) -> DnsProvider:
    return FakeDnsProvider([API])


def _dry_run(request: pytest.FixtureRequest) -> DnsProvider:
    return DryRunDns(FakeDnsProvider([API]), DryRunJournal())


def _knot(request: pytest.FixtureRequest) -> DnsProvider:
    server: Any = request.getfixturevalue("knot")
    return Rfc2136DnsProvider(config(server.address, server.secret))


def _lab_knot(request: pytest.FixtureRequest) -> DnsProvider:
    return _lab(request.getfixturevalue("lab_knot"))


def _lab_builtin(request: pytest.FixtureRequest) -> DnsProvider:
    return _lab(request.getfixturevalue("lab_builtin"))


def _lab(server: Any) -> DnsProvider:
    key = TsigConfig(name=KEY_NAME, secret=server.secret)
    return Rfc2136DnsProvider(config(server.address, None, tsig=key))


@pytest.fixture(
    params=[
        pytest.param(_fake, id="fake"),
        pytest.param(_dry_run, id="dry-run"),
        pytest.param(_knot, id="knot", marks=pytest.mark.servers),
        pytest.param(_lab_knot, id="knot-of-the-lab", marks=pytest.mark.servers),
        pytest.param(_lab_builtin, id="builtin-of-the-lab", marks=pytest.mark.servers),
    ]
)
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[DnsProvider]:
    make: Callable[[pytest.FixtureRequest], DnsProvider] = request.param
    made = make(request)
    yield made
    await made.aclose()


class TestDnsContract:
    async def test_name_when_pointed_then_answers_with_the_host_as_configured(
        self, provider: DnsProvider
    ) -> None:
        assert await seen(provider, API) == ("target.shop.test.", 60)
        await provider.point(API, Side.SOURCE)
        assert await seen(provider, API) == ("API.source.test", 60)
        await provider.point(API, Side.TARGET)
        assert await seen(provider, API) == ("target.shop.test.", 60)

    async def test_name_when_pointed_twice_then_the_same(self, provider: DnsProvider) -> None:
        await provider.point(API, Side.SOURCE)
        await provider.point(API, Side.SOURCE)
        assert await seen(provider, API) == ("API.source.test", 60)

    async def test_ttl_when_changed_then_answered(self, provider: DnsProvider) -> None:
        await provider.point(API.model_copy(update={"ttl": 7}), Side.TARGET)
        assert await seen(provider, API) == ("target.shop.test.", 7)

    async def test_name_when_new_then_made(self, provider: DnsProvider) -> None:
        (before,) = await provider.answers(NEW)
        assert before.answer is None
        assert "does not exist" in before.detail
        await provider.point(NEW, Side.SOURCE)
        assert await seen(provider, NEW) == ("new.source.test.", 5)

    async def test_names_when_pointed_at_once_then_all_answer(self, provider: DnsProvider) -> None:
        await asyncio.gather(*(provider.point(record, Side.SOURCE) for record in (API, NEW)))
        assert await seen(provider, API) == ("API.source.test", 60)
        assert await seen(provider, NEW) == ("new.source.test.", 5)


@pytest.mark.servers
class TestRfc2136OnKnot:
    async def test_name_when_it_was_an_address_then_becomes_a_cname(self, knot: Any) -> None:
        provider = Rfc2136DnsProvider(config(knot.address, knot.secret))
        (before,) = await provider.answers(AUTH)
        assert (before.answer, before.detail) == (None, "the name is no CNAME")
        await provider.point(AUTH, Side.SOURCE)
        assert await seen(provider, AUTH) == ("auth.source.test.", 60)

    async def test_name_when_pointed_then_an_independent_client_agrees(self, knot: Any) -> None:
        kdig = shutil.which("kdig")
        if kdig is None:
            pytest.skip("kdig is not installed here (apt-get install knot-dnsutils)")
        provider = Rfc2136DnsProvider(config(knot.address, knot.secret))
        await provider.point(AUTH, Side.SOURCE)
        process = await asyncio.create_subprocess_exec(
            *(
                kdig,
                "@127.0.0.1",
                "-p",
                str(knot.port),
                "+noall",
                "+answer",
                "auth.shop.test",
                "ANY",
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        lines = [re.split(r"\s+", line) for line in output.decode().splitlines()]
        assert lines == [["auth.shop.test.", "60", "IN", "CNAME", "auth.source.test."]]

    async def test_resolvers_when_one_is_away_then_the_others_still_answer(self, knot: Any) -> None:
        provider = Rfc2136DnsProvider(
            config(knot.address, knot.secret, resolvers=(knot.address, "127.0.0.1:1", "bad:x")),
            timeout_seconds=0.3,
        )
        good, away, bad = await provider.answers(API)
        assert good.answer == "target.shop.test."
        assert (away.answer, away.resolver) == (None, "127.0.0.1:1")
        assert "cannot be reached" in away.detail
        assert (bad.answer, bad.ttl) == (None, None)
        assert bad.detail

    @pytest.mark.parametrize(
        ("changes", "error", "words"),
        [
            (
                {"tsig": TsigConfig(name="failback.", secret=SECRET)},
                CredentialsError,
                "BADSIG",
            ),
            ({"tsig": TsigConfig(name="stranger.", secret=SECRET)}, CredentialsError, "BADKEY"),
            ({"tsig": None}, CredentialsError, "NOTAUTH"),
            ({"zone": "other.test."}, CredentialsError, "NOTAUTH"),
        ],
    )
    async def test_update_when_refused_then_says_why_and_changes_nothing(
        self, knot: Any, changes: dict[str, Any], error: type[FailbackError], words: str
    ) -> None:
        provider = Rfc2136DnsProvider(config(knot.address, knot.secret, **changes))
        zone = changes.get("zone", "shop.test.")
        record = API.model_copy(update={"name": f"api.{zone}"})
        with pytest.raises(error, match=words) as caught:
            await provider.point(record, Side.SOURCE)
        assert "dns." in caught.value.cure
        assert knot.secret not in str(caught.value)
        assert SECRET not in str(caught.value)
        honest = Rfc2136DnsProvider(config(knot.address, knot.secret))
        assert await seen(honest, API) == ("target.shop.test.", 60)

    async def test_update_when_the_key_has_no_right_then_refused(self, knot: Any) -> None:
        reader = TsigConfig(name="reader.", secret=knot.secret)
        provider = Rfc2136DnsProvider(config(knot.address, None, tsig=reader))
        # Knot says BADKEY for a key that it knows and that no rule allows.
        with pytest.raises(CredentialsError, match="BADKEY"):
            await provider.point(API, Side.SOURCE)

    async def test_update_when_clocks_differ_then_badtime(
        self, knot: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider = Rfc2136DnsProvider(config(knot.address, knot.secret))
        now = time.time()
        with monkeypatch.context() as patch:
            patch.setattr("dns.message.time.time", lambda: now - 3600)
            with pytest.raises(CredentialsError, match="BADTIME") as caught:
                await provider.point(API, Side.SOURCE)
        assert "NTP" in caught.value.cure

    async def test_server_when_stopped_then_unreachable(self, knot: Any) -> None:
        provider = Rfc2136DnsProvider(config(knot.address, knot.secret), timeout_seconds=0.3)
        knot.stop()
        with pytest.raises(UnreachableError, match=knot.address):
            await provider.point(API, Side.SOURCE)
        (answer,) = await provider.answers(API)
        assert answer.answer is None


@pytest.mark.servers
class TestRfc2136OnTheBuiltinServer:
    @pytest.mark.parametrize(
        "tsig", [TsigConfig(name=KEY_NAME, secret=SECRET), TsigConfig(name="x.", secret=SECRET)]
    )
    async def test_update_when_the_key_is_wrong_then_credentials_are_named(
        self, lab_builtin: Any, tsig: TsigConfig
    ) -> None:
        provider = Rfc2136DnsProvider(config(lab_builtin.address, None, tsig=tsig))
        with pytest.raises(CredentialsError, match="NOTAUTH") as caught:
            await provider.point(API, Side.SOURCE)
        assert "dns.tsig" in caught.value.cure

    async def test_update_when_unsigned_then_refused(self, lab_builtin: Any) -> None:
        provider = Rfc2136DnsProvider(config(lab_builtin.address, None))
        with pytest.raises(DnsRefusedError, match="REFUSED"):
            await provider.point(API, Side.SOURCE)
        assert await seen(provider, API) == ("target.shop.test.", 60)


class TestFakeResolvers:
    async def test_resolver_when_stale_then_the_old_host_so_many_times(self) -> None:
        fake = FakeDnsProvider([API], resolvers=("a", "b"))
        fake.stale("b", 1)
        await fake.point(API, Side.SOURCE)
        hosts = [[answer.answer for answer in await fake.answers(API)] for _ in range(2)]
        assert hosts == [[API.source, API.target], [API.source, API.source]]

    async def test_resolver_when_silenced_then_no_answer(self) -> None:
        fake = FakeDnsProvider([API], resolvers=("a", "b"))
        fake.silence("a")
        silent, other = await fake.answers(API)
        assert (silent.answer, other.answer) == (None, API.target)
        assert silent.detail
