"""Amazon SNS: whether a message is Amazon's, and the visits that it asks for.

Source: docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages" and "HTTP/HTTPS
message formats".
"""

import base64
import binascii
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from pydantic import AfterValidator, Field

from failback.errors import UnreachableError
from failback.gateway.parsers.reading import Sent, moment
from failback.gateway.refusals import RefusedError, unauthorised

_HOST = re.compile(r"sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?")
_CERTIFICATE_NAMES = re.compile(r"sns(\.[a-z0-9-]{3,32})?\.amazonaws\.com(\.cn)?")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
    "UnsubscribeConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
"""What is signed, by type of message, in this order."""

_HASH: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "1": hashes.SHA1,  # what SNS signs with unless a topic is told otherwise
    "2": hashes.SHA256,
}
_KEPT_SECONDS = 86_400.0
_KEPT = 32
_BYTES = 65_536
_CURE = "Only Amazon SNS may send here; see docs/gateway.md."


def _is_a_time(told: str) -> str:
    moment(told)
    return told


class SnsMessage(Sent):
    """The envelope that every message of SNS comes in."""

    kind: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] = Field(
        alias="Type"
    )
    message_id: str = Field(alias="MessageId", min_length=1)
    topic: str = Field(alias="TopicArn")
    message: str = Field(alias="Message")
    timestamp: Annotated[str, AfterValidator(_is_a_time)] = Field(alias="Timestamp")
    subject: str | None = Field(default=None, alias="Subject")
    token: str | None = Field(default=None, alias="Token")
    subscribe_url: str | None = Field(default=None, alias="SubscribeURL")
    version: str = Field(alias="SignatureVersion")
    signature: str = Field(alias="Signature")
    certificate_url: str = Field(alias="SigningCertURL")

    @property
    def sent_at(self) -> datetime:
        """When Amazon sent it."""
        return moment(self.timestamp)

    def signed_text(self) -> bytes:
        """What Amazon signed: names and values, a line each, without what is not there."""
        values = {
            "Message": self.message,
            "MessageId": self.message_id,
            "Subject": self.subject,
            "SubscribeURL": self.subscribe_url,
            "Timestamp": self.timestamp,
            "Token": self.token,
            "TopicArn": self.topic,
            "Type": self.kind,
        }
        named = ((name, values[name]) for name in _SIGNED[self.kind])
        return "".join(f"{name}\n{value}\n" for name, value in named if value is not None).encode()


class AmazonVisits(Protocol):
    """Fetches addresses of Amazon, which the caller has checked."""

    async def get(self, url: str) -> bytes:
        """The body of an answer of 200. Raises UnreachableError for everything else."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class HttpVisits:
    """Fetches by HTTPS without following redirects.

    Args:
        timeout_seconds: of one visit.
    """

    def __init__(self, timeout_seconds: float = 5.0) -> None:
        self._http = httpx.AsyncClient(timeout=timeout_seconds, follow_redirects=False)

    async def get(self, url: str) -> bytes:
        """See `AmazonVisits.get`."""
        host = urlsplit(url).hostname
        try:
            async with self._http.stream("GET", url) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _BYTES:
                        raise UnreachableError(f"{host} answers with more than {_BYTES} bytes.")
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{host} does not answer: {type(error).__name__}.",
                "Let the gateway out to Amazon SNS by HTTPS.",
            ) from error
        if answer.status_code != HTTPStatus.OK:
            raise UnreachableError(f"{host} answers with {answer.status_code}.")
        return body

    async def aclose(self) -> None:
        """See `AmazonVisits.aclose`."""
        await self._http.aclose()


def demand_amazon(url: str | None, what: str) -> str:
    """An address as it is, where SNS is behind it.

    Raises:
        RefusedError: 401, for every other host, scheme, port or user.
    """
    try:
        parts = urlsplit(url or "")
        odd = parts.username is not None or parts.password is not None or parts.port is not None
    except ValueError:
        odd, parts = True, urlsplit("")
    if odd or parts.scheme != "https" or not _HOST.fullmatch(parts.hostname or ""):
        raise unauthorised(f"{what} is no address of Amazon SNS.", _CURE, scheme="Signature")
    return parts.geturl()


class SnsSignatures:
    """Proves that messages are Amazon's.

    Args:
        visits: fetches certificates, whose addresses were checked before.
        clock: seconds that only go forward; certificates are kept for a day.
    """

    def __init__(self, visits: AmazonVisits, clock: Callable[[], float] = time.monotonic) -> None:
        self._visits = visits
        self._clock = clock
        self._certificates: dict[str, tuple[float, x509.Certificate]] = {}

    async def demand(self, message: SnsMessage, now: datetime) -> None:
        """Refuse a message that Amazon did not sign.

        Raises:
            RefusedError: 401.
            UnreachableError: the certificate cannot be fetched now.
        """
        algorithm = _HASH.get(message.version)
        if algorithm is None:
            raise unauthorised("SignatureVersion is neither 1 nor 2.", _CURE, scheme="Signature")
        url = demand_amazon(message.certificate_url, "SigningCertURL")
        if not urlsplit(url).path.endswith(".pem"):
            raise unauthorised("SigningCertURL names no certificate.", _CURE, scheme="Signature")
        key = _key_of(await self._certificate(url), now)
        try:
            signature = base64.b64decode(message.signature, validate=True)
            key.verify(signature, message.signed_text(), padding.PKCS1v15(), algorithm())
        except (binascii.Error, InvalidSignature, ValueError) as error:
            raise unauthorised(
                "The signature does not fit the message.", _CURE, scheme="Signature"
            ) from error

    async def _certificate(self, url: str) -> x509.Certificate:
        kept = self._certificates.get(url)
        if kept is not None and self._clock() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        pem = await self._visits.get(url)
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise UnreachableError("What SigningCertURL names is no certificate.") from error
        if len(self._certificates) >= _KEPT:
            self._certificates.clear()
        self._certificates[url] = (self._clock(), certificate)
        return certificate


def _key_of(certificate: x509.Certificate, now: datetime) -> rsa.RSAPublicKey:
    """The key of a certificate of SNS that is valid now."""
    if (
        not certificate.not_valid_before_utc
        <= now.astimezone(UTC)
        <= certificate.not_valid_after_utc
    ):
        raise unauthorised("The signing certificate is not valid now.", _CURE, scheme="Signature")
    names = {
        str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names.update(alternative.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        pass
    key = certificate.public_key()
    if not any(map(_CERTIFICATE_NAMES.fullmatch, names)) or not isinstance(key, rsa.RSAPublicKey):
        raise unauthorised(
            "The signing certificate is not one of Amazon SNS.", _CURE, scheme="Signature"
        )
    return key


async def confirm_subscription(message: SnsMessage, visits: AmazonVisits) -> None:
    """Say yes to a subscription whose message was proved to be Amazon's.

    Raises:
        RefusedError: 401, where the address is not Amazon's, or is about another topic.
        UnreachableError: Amazon does not answer.
    """
    url = demand_amazon(message.subscribe_url, "SubscribeURL")
    asked = parse_qs(urlsplit(url).query)
    if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [message.topic]:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED, "SubscribeURL does not confirm this topic.", _CURE
        )
    await visits.get(url)
