"""What the RFC 2136 provider makes of answers, and of there being none."""

import asyncio
import re
import struct
from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    DnsRefusedError,
    FailbackError,
    UnreachableError,
)
from failback.models.common import Side
from failback.providers.dns import Rfc2136DnsProvider
from failback.sections.routing import TsigConfig

from support.dns_server import API, SECRET, config, scripted, seen


def _saying(code: dns.rcode.Rcode) -> Callable[[dns.message.Message], bytes]:
    def reply(question: dns.message.Message) -> bytes:
        answer = dns.message.Message(id=question.id)
        answer.flags = dns.flags.Flag(question.flags) | dns.flags.QR
        answer.sections[0] = list(question.sections[0])
        answer.set_rcode(code)
        return answer.to_wire()

    return reply


def _truncated(question: dns.message.Message) -> bytes:
    answer = dns.message.make_response(question)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def _pointed(question: dns.message.Message) -> bytes:
    answer = dns.message.make_response(question)
    answer.answer.append(dns.rrset.from_text(API.name, 60, "IN", "CNAME", "over.tcp.test."))
    return answer.to_wire()


class TestRfc2136OverTcp:
    @pytest.mark.parametrize("over_udp", [_truncated, lambda _: None], ids=["cut", "silent"])
    async def test_resolver_when_udp_is_not_enough_then_asked_over_tcp(
        self, over_udp: Callable[[dns.message.Message], bytes | None]
    ) -> None:
        async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = _pointed(dns.message.from_wire(await reader.readexactly(length)))
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
            writer.close()

        async with scripted(over_udp) as server:
            port = int(server.rpartition(":")[2])
            tcp = await asyncio.start_server(over_tcp, "127.0.0.1", port)
            provider = Rfc2136DnsProvider(config(server, None), timeout_seconds=1.0)
            assert await seen(provider, API) == ("over.tcp.test.", 60)
            tcp.close()
            await tcp.wait_closed()

    async def test_server_when_it_hangs_up_then_no_answer_with_the_reason(self) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with scripted(_truncated) as server:
            port = int(server.rpartition(":")[2])
            tcp = await asyncio.start_server(hang_up, "127.0.0.1", port)
            provider = Rfc2136DnsProvider(config(server, None), timeout_seconds=1.0)
            (answer,) = await provider.answers(API)
            assert answer.answer is None
            assert answer.detail.startswith("cannot be reached")
            tcp.close()
            await tcp.wait_closed()


class TestRfc2136Answers:
    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (dns.rcode.REFUSED, DnsRefusedError),
            (dns.rcode.NOTZONE, DnsRefusedError),
            (dns.rcode.NOTIMP, DnsRefusedError),
            (dns.rcode.FORMERR, DnsRefusedError),
            (dns.rcode.YXDOMAIN, DnsRefusedError),
            (dns.rcode.NOTAUTH, CredentialsError),
            (dns.rcode.SERVFAIL, UnreachableError),
        ],
    )
    async def test_update_when_answered_with_an_error_then_named_with_its_cure(
        self, code: dns.rcode.Rcode, error: type[FailbackError]
    ) -> None:
        async with scripted(_saying(code)) as server:
            provider = Rfc2136DnsProvider(config(server, None))
            with pytest.raises(error, match=code.name) as caught:
                await provider.point(API, Side.SOURCE)
            assert caught.value.cure

    async def test_update_when_the_yes_is_unsigned_then_not_believed(self) -> None:
        async with scripted(_saying(dns.rcode.NOERROR)) as server:
            provider = Rfc2136DnsProvider(config(server, SECRET))
            with pytest.raises(CredentialsError, match="without a signature"):
                await provider.point(API, Side.SOURCE)
            await Rfc2136DnsProvider(config(server, None)).point(API, Side.SOURCE)

    async def test_answers_when_a_resolver_is_silent_then_none_with_the_reason(self) -> None:
        async with scripted(lambda _: None) as silent, scripted(_saying(dns.rcode.REFUSED)) as no:
            provider = Rfc2136DnsProvider(
                config("127.0.0.1:1", None, resolvers=(silent, no)), timeout_seconds=0.2
            )
            quiet, refused = await provider.answers(API)
        assert (quiet.answer, refused.answer) == (None, None)
        assert quiet.detail
        assert "REFUSED" in refused.detail

    @pytest.mark.parametrize("name", ["shop.test.", "api.elsewhere.test."])
    async def test_record_when_not_below_the_zone_then_a_configuration_error(
        self, name: str
    ) -> None:
        provider = Rfc2136DnsProvider(config("127.0.0.1:1", None))
        with pytest.raises(ConfigurationError, match=re.escape(name)):
            await provider.point(API.model_copy(update={"name": name}), Side.SOURCE)

    @pytest.mark.parametrize(
        "tsig",
        [
            TsigConfig(name="k.", secret="not base64!"),
            TsigConfig(name="k.", secret=SECRET, algorithm="hmac-sha3"),
            TsigConfig(name="a..b", secret=SECRET),
        ],
    )
    def test_key_when_unusable_then_a_configuration_error_without_the_secret(
        self, tsig: TsigConfig
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Rfc2136DnsProvider(config("127.0.0.1:1", None, tsig=tsig))
        assert tsig.secret.get_secret_value() not in str(caught.value)
