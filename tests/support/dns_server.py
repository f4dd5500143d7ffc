"""A name server whose answers a test makes, and what tests of DNS ask it for."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import dns.message

from failback.lab.processes import free_port
from failback.models.traffic import DnsRecord
from failback.ports import DnsProvider
from failback.sections.routing import DnsConfig, TsigConfig

API = DnsRecord(name="api.shop.test.", source="API.source.test", target="target.shop.test.", ttl=60)
SECRET = b64encode(b"another secret of the same size.").decode()


def config(server: str, secret: str | None, **changes: Any) -> DnsConfig:
    key = TsigConfig(name="failback.", secret=secret) if secret else None
    fields: dict[str, Any] = {"server": server, "zone": "shop.test.", "tsig": key, "records": ()}
    return DnsConfig(**{**fields, **changes})


async def seen(provider: DnsProvider, record: DnsRecord) -> tuple[str | None, int | None]:
    (answer,) = await provider.answers(record)
    assert answer.name == record.name
    return answer.answer, answer.ttl


class Scripted(asyncio.DatagramProtocol):
    """A name server whose answers a test makes."""

    def __init__(self, reply: Callable[[dns.message.Message], bytes | None]) -> None:
        self._reply = reply
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        wire = self._reply(dns.message.from_wire(data, keyring=False))
        if wire is not None:
            self._transport.sendto(wire, addr)


@asynccontextmanager
async def scripted(reply: Callable[[dns.message.Message], bytes | None]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Scripted(reply), local_addr=("127.0.0.1", free_port(datagram=True))
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
