"""A small authoritative name server: one zone, UDP and TCP, TSIG-signed updates (RFC 2136).

It stands in for Knot on machines that have none. It answers from one zone, takes updates
without prerequisites, bumps the serial, and writes the zone to its file before it answers.
"""

import argparse
import contextlib
import os
import socketserver
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update
import dns.versioned
import dns.zone

_LARGEST_UDP = 1232
_LONGEST_CHAIN = 8


class ZoneService:
    """Answers messages about one zone.

    Args:
        zone: its fully qualified name.
        file: where it is read from and, after each update, written to.
        key: `name:secret` of the key that updates must be signed with.
    """

    def __init__(self, zone: str, file: Path, key: str) -> None:
        name, _, secret = key.partition(":")
        self._origin = dns.name.from_text(zone)
        self._file = file
        self._keyring = dns.tsigkeyring.from_text({name: ("hmac-sha256", secret)})
        self._lock = threading.Lock()
        self._zone = dns.zone.from_file(
            str(file), self._origin, zone_factory=dns.versioned.Zone, relativize=False
        )

    def answer(self, wire: bytes, largest: int | None = None) -> bytes | None:
        """The answer to one message; None where it deserves none.

        Args:
            wire: the message as it came.
            largest: bytes that the answer may have; a longer one is truncated (UDP).
        """
        try:
            query = dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature, dns.tsig.PeerError):
            return self._refusal(wire, dns.rcode.NOTAUTH)
        except dns.tsig.BadTime:
            return self._refusal(wire, dns.rcode.NOTAUTH)
        except dns.exception.DNSException:
            return self._refusal(wire, dns.rcode.FORMERR)
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query)
        if isinstance(query, dns.update.UpdateMessage):
            response.set_rcode(self._updated(query))
        elif query.opcode() == dns.opcode.QUERY and len(query.question) == 1:
            self._look_up(query.question[0], response)
        else:
            response.set_rcode(dns.rcode.NOTIMP)
        try:
            return response.to_wire(max_size=largest or 65535)
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()

    def _refusal(self, wire: bytes, code: dns.rcode.Rcode) -> bytes | None:
        """An unsigned answer that repeats the message's id and opcode; RFC 1035, 4.1.1."""
        if len(wire) < 12:  # noqa: PLR2004 - the length of a header
            return None
        message_id, flags = struct.unpack("!HH", wire[:4])
        if flags & dns.flags.QR:
            return None
        header = dns.flags.QR | (flags & 0x7900) | code
        return struct.pack("!HHHHHH", message_id, header, 0, 0, 0, 0)

    def _look_up(self, question: dns.rrset.RRset, response: dns.message.Message) -> None:
        name, wanted = question.name, question.rdtype
        if not name.is_subdomain(self._origin):
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        with self._zone.reader() as zone:
            for _ in range(_LONGEST_CHAIN):
                found = zone.get(name, wanted)
                alias = None if found else zone.get(name, dns.rdatatype.CNAME)
                if (records := found or alias) is not None:
                    response.answer.append(_set(name, records))
                if alias is None:
                    break
                name = alias[0].target
                if not name.is_subdomain(self._origin):
                    break
            if not response.answer:
                if not any(known.is_subdomain(name) for known in zone.iterate_names()):
                    response.set_rcode(dns.rcode.NXDOMAIN)
                soa = zone.get(self._origin, dns.rdatatype.SOA)
                response.authority.append(_set(self._origin, soa))

    def _updated(self, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        if not message.had_tsig:
            return dns.rcode.REFUSED
        if len(message.zone) != 1 or message.zone[0].name != self._origin:
            return dns.rcode.NOTAUTH
        if message.prerequisite:
            return dns.rcode.NOTIMP
        if any(not change.name.is_subdomain(self._origin) for change in message.update):
            return dns.rcode.NOTZONE
        with self._lock, self._zone.writer() as zone:
            for change in message.update:
                _apply(zone, change)
            zone.update_serial(name=self._origin)
        self._save()
        return dns.rcode.NOERROR

    def _save(self) -> None:
        draft = self._file.with_name(f".{self._file.name}.new")
        self._zone.to_file(str(draft), relativize=False, want_origin=True)
        draft.chmod(0o600)
        draft.replace(self._file)


def _apply(zone: dns.zone.Transaction, change: dns.rrset.RRset) -> None:
    """One change of an update, told apart by its class (RFC 2136, section 2.5)."""
    if change.deleting == dns.rdataclass.ANY:
        if change.rdtype == dns.rdatatype.ANY:
            zone.delete(change.name)
        else:
            zone.delete(change.name, change.rdtype)
    elif change.deleting == dns.rdataclass.NONE:
        zone.delete(change.name, change.to_rdataset())
    else:
        if change.rdtype == dns.rdatatype.CNAME:
            # A name has one alias: a new one takes its place.
            zone.delete(change.name, dns.rdatatype.CNAME)
        zone.add(change.name, change.to_rdataset())


def _set(name: dns.name.Name, records: dns.rdataset.Rdataset) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, records.ttl, list(records))


def serve(service: ZoneService, port: int) -> None:
    """Answer on UDP and TCP of 127.0.0.1 until the process ends."""

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, endpoint = self.request
            answer = service.answer(wire, _LARGEST_UDP)
            if answer is not None:
                endpoint.sendto(answer, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        timeout = 10.0

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while len(length := self.rfile.read(2)) == 2:  # noqa: PLR2004 - a 16-bit length
                    (size,) = struct.unpack("!H", length)
                    answer = service.answer(self.rfile.read(size))
                    if answer is None:
                        return
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

    class Streams(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with (
        socketserver.UDPServer(("127.0.0.1", port), Datagram) as datagrams,
        Streams(("127.0.0.1", port), Stream) as streams,
    ):
        _in_thread(streams.serve_forever)
        datagrams.serve_forever()


def _in_thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="failback.lab.name_service", description=__doc__)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--port", required=True, type=int)
    options = parser.parse_args()
    key = os.environ["FAILBACK_LAB_DNS_KEY"]
    serve(ZoneService(options.zone, options.file, key), options.port)


if __name__ == "__main__":
    main()
