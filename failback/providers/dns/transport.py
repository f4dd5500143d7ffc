"""One DNS message to one server: over UDP, over TCP where that was cut off or got no answer."""

import asyncio
import socket
import struct
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.query

from failback.errors import ConfigurationError

DNS_PORT = 53
_LENGTH = struct.Struct("!H")
"""What precedes each message over TCP (RFC 1035, section 4.2.2)."""


def host_and_port(server: str) -> tuple[str, int]:
    """Split `host:port`, `[v6]:port` or a bare host, whose port is 53.

    Raises:
        ConfigurationError: the text names no host or the port is no number.
    """
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = server, str(DNS_PORT)
    host = host.strip("[]")
    if not host or not port.isdigit():
        raise ConfigurationError(
            f"{server!r} is no address of a name server.", "Write host:port under dns."
        )
    return host, int(port)


async def exchange(
    message: dns.message.Message, server: str, timeout_seconds: float
) -> dns.message.Message:
    """Send one message and return the server's answer, whose signature is not checked here.

    dnspython's own `udp` and `tcp` raise for an unsigned answer to a signed message and keep
    its code to themselves; but a server that does not know the zone refuses unsigned.

    Args:
        message: one that may arrive twice: it is sent again over TCP where UDP got no answer.
            Its `mac` is set afterwards where it is signed.
        server: `host:port`.
        timeout_seconds: for all of it; UDP gets half.

    Raises:
        TimeoutError: no answer in time.
        OSError: the host has no address, or nothing listens.
        EOFError: the server closed the connection without an answer.
        dns.exception.DNSException: what came over TCP is no answer.
    """
    host, port = host_and_port(server)
    wire = message.to_wire()
    async with asyncio.timeout(timeout_seconds):
        address = await _address(host, port)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(timeout_seconds / 2):
                answer = await _udp(message, wire, address, port)
            if not answer.flags & dns.flags.TC:
                return answer
        return await _tcp(message, wire, address, port)


class _Datagrams(asyncio.DatagramProtocol):
    """What came back over UDP: datagrams, and errors such as a closed port."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        """See `asyncio.DatagramProtocol`; the kernel lets only the server's pass."""
        self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """See `asyncio.DatagramProtocol`."""
        self.received.put_nowait(exc)


async def _udp(
    message: dns.message.Message, wire: bytes, address: str, port: int
) -> dns.message.Message:
    """The first datagram that answers this message; anything else is ignored."""
    loop = asyncio.get_running_loop()
    transport, datagrams = await loop.create_datagram_endpoint(
        _Datagrams, remote_addr=(address, port)
    )
    try:
        transport.sendto(wire)
        while True:
            received = await datagrams.received.get()
            if isinstance(received, Exception):
                raise received
            with suppress(dns.exception.DNSException):
                answer = dns.message.from_wire(received, keyring=False)
                if message.is_response(answer):
                    return answer
    finally:
        transport.close()


async def _tcp(
    message: dns.message.Message, wire: bytes, address: str, port: int
) -> dns.message.Message:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(_LENGTH.pack(len(wire)) + wire)
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        answer = dns.message.from_wire(await reader.readexactly(length), keyring=False)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if not message.is_response(answer):
        raise dns.query.BadResponse
    return answer


async def _address(host: str, port: int) -> str:
    """The first address of a host, which may be an address already."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return str(found[0][4][0])
