"""Dynamic DNS updates (RFC 2136), signed with TSIG (RFC 8945)."""

import asyncio
import binascii

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    DnsRefusedError,
    FailbackError,
    UnreachableError,
)
from failback.models.common import Side
from failback.models.traffic import DnsRecord, NameAnswer
from failback.providers.dns.names import NO_ALIAS, NO_NAME, as_configured
from failback.providers.dns.transport import exchange
from failback.sections.routing import DnsConfig, TsigConfig

# What may not stand beside a CNAME and would have pointed the name at a host before.
_REPLACED = (dns.rdatatype.CNAME, dns.rdatatype.A, dns.rdatatype.AAAA)

_KEY_CURE = "Compare dns.tsig (name, algorithm, secret) with the key on the name server."
_SIGNATURE_CURES: dict[type[dns.exception.DNSException], tuple[str, str]] = {
    dns.tsig.PeerBadKey: ("does not know the key (BADKEY)", _KEY_CURE),
    dns.tsig.PeerBadSignature: ("found the signature wrong (BADSIG)", _KEY_CURE),
    dns.tsig.PeerBadTime: (
        "found the signature's time too far off (BADTIME)",
        "Set the clocks of both machines by NTP.",
    ),
}
_REFUSALS = {
    dns.rcode.REFUSED: "Allow updates by this key, or from this address, on the name server.",
    dns.rcode.NOTZONE: "Move the record under dns.zone, or correct dns.zone.",
    dns.rcode.NOTIMP: "Name a server that takes dynamic updates under dns.server.",
    dns.rcode.FORMERR: "Name a server that takes dynamic updates under dns.server.",
}


class Rfc2136DnsProvider:
    """Implements `DnsProvider` with one signed UPDATE message a name.

    Args:
        config: the primary name server, the zone, the key and the resolvers.
        timeout_seconds: how long one exchange may take.

    Raises:
        ConfigurationError: the key's secret or algorithm, or a name, cannot be used.
    """

    def __init__(self, config: DnsConfig, timeout_seconds: float = 3.0) -> None:
        self._server = config.server
        self._zone = _name(config.zone)
        self._key = _key(config.tsig) if config.tsig else None
        self._resolvers = config.resolvers or (config.server,)
        self._timeout = timeout_seconds

    async def point(self, record: DnsRecord, side: Side) -> None:
        """See `DnsProvider.point`. Address records of the name are removed, too."""
        message = self._update(record, side)
        try:
            answer = await exchange(message, self._server, self._timeout)
            self._verify(message, answer)
        except TimeoutError as error:
            raise UnreachableError(
                f"Name server {self._server} did not answer within {self._timeout:g} s.",
                "See whether it runs, and whether UDP and TCP reach it from here.",
            ) from error
        except (OSError, EOFError) as error:
            raise UnreachableError(
                f"Name server {self._server} cannot be reached: {_text(error)}.",
                "Start it, or correct dns.server.",
            ) from error
        except dns.exception.DNSException as error:
            raise self._signature_error(error) from error
        failure = self._failure(answer, record)
        if failure is not None:
            raise failure

    async def answers(self, record: DnsRecord) -> tuple[NameAnswer, ...]:
        """See `DnsProvider.answers`. A resolver without an answer says why in its detail."""
        return tuple(
            await asyncio.gather(*(self._ask(resolver, record) for resolver in self._resolvers))
        )

    async def aclose(self) -> None:
        """See `DnsProvider.aclose`; nothing is kept open between messages."""

    def _update(self, record: DnsRecord, side: Side) -> dns.update.UpdateMessage:
        name = _name(record.name)
        if name == self._zone or not name.is_subdomain(self._zone):
            raise ConfigurationError(
                f"{record.name} cannot be a CNAME in zone {self._zone}.",
                "Name a record below dns.zone; a zone's own name holds no CNAME.",
            )
        message = dns.update.UpdateMessage(self._zone, keyring=self._key)
        for kind in _REPLACED:
            message.delete(name, kind)
        message.add(name, record.ttl, dns.rdatatype.CNAME, _name(record.host(side)).to_text())
        return message

    def _verify(self, message: dns.message.Message, answer: dns.message.Message) -> None:
        """Check the answer's signature where it has one; raises what dnspython raises."""
        if self._key is not None and answer.had_tsig and answer.wire is not None:
            dns.message.from_wire(answer.wire, keyring=self._key, request_mac=message.mac)

    def _failure(self, answer: dns.message.Message, record: DnsRecord) -> FailbackError | None:
        """The error that an answer stands for; None where the update was done."""
        code = answer.rcode()
        said = (
            f"Name server {self._server} refused to point {record.name}: {dns.rcode.to_text(code)}"
        )
        if code == dns.rcode.NOERROR:
            if self._key is None or answer.had_tsig:
                return None
            return CredentialsError(
                f"Name server {self._server} answered a signed update without a signature.",
                "See whether dns.server is the name server itself, and knows the key.",
            )
        if code == dns.rcode.NOTAUTH:
            return CredentialsError(
                f"{said} (it does not accept this key, or does not serve {self._zone}).",
                f"{_KEY_CURE} Otherwise correct dns.zone or dns.server.",
            )
        if code == dns.rcode.SERVFAIL:
            return UnreachableError(
                f"{said}: it cannot serve the zone at present.", "See the name server's log."
            )
        return DnsRefusedError(f"{said}.", _REFUSALS.get(code, "See the name server's log."))

    def _signature_error(self, error: dns.exception.DNSException) -> FailbackError:
        for kind, (cause, cure) in _SIGNATURE_CURES.items():
            if isinstance(error, kind):
                return CredentialsError(f"Name server {self._server} {cause}.", cure)
        if isinstance(error, dns.tsig.PeerError):
            return CredentialsError(
                f"Name server {self._server} refused the signature: {error}.", _KEY_CURE
            )
        return CredentialsError(
            f"The answer of name server {self._server} cannot be trusted: {error}.",
            f"{_KEY_CURE} See whether dns.server is a name server.",
        )

    async def _ask(self, resolver: str, record: DnsRecord) -> NameAnswer:
        """One resolver's answer; why there is none is part of it."""
        name = _name(record.name)
        question = dns.message.make_query(name, dns.rdatatype.CNAME, use_edns=0, payload=1232)
        host, ttl, detail = None, None, ""
        try:
            answer = await exchange(question, resolver, self._timeout)
        except TimeoutError:
            detail = f"no answer within {self._timeout:g} s"
        except (OSError, EOFError) as error:
            detail = f"cannot be reached: {_text(error)}"
        except (dns.exception.DNSException, ConfigurationError) as error:
            detail = f"no usable answer: {error}"
        else:
            found = answer.get_rrset(
                dns.message.ANSWER, name, question.question[0].rdclass, dns.rdatatype.CNAME
            )
            if found:
                host, ttl = as_configured(found[0].target.to_text(), record), found.ttl
            else:
                detail = _why_none(answer.rcode())
        return NameAnswer(resolver=resolver, name=record.name, answer=host, ttl=ttl, detail=detail)


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or "the connection was closed"


def _why_none(code: dns.rcode.Rcode) -> str:
    if code == dns.rcode.NXDOMAIN:
        return NO_NAME
    if code == dns.rcode.NOERROR:
        return NO_ALIAS
    return f"the resolver said {dns.rcode.to_text(code)}"


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise ConfigurationError(
            f"{text!r} is no name of a host: {error}.", "Correct it under dns."
        ) from error


def _key(tsig: TsigConfig) -> dns.tsig.Key:
    algorithm = _name(tsig.algorithm)
    if algorithm not in dns.tsig.mac_sizes or algorithm == dns.tsig.GSS_TSIG:
        raise ConfigurationError(
            f"{tsig.algorithm} is no TSIG algorithm.", "Write hmac-sha256 or another HMAC."
        )
    try:
        return dns.tsig.Key(_name(tsig.name), tsig.secret.get_secret_value(), algorithm)
    except binascii.Error as error:
        raise ConfigurationError(
            "dns.tsig.secret is not base64.", "Copy the key's secret as the name server has it."
        ) from error
