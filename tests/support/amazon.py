"""Amazon SNS in memory: a certificate authority, a signing certificate, and addresses visited."""

import base64
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from failback.errors import UnreachableError

from support.webhook_bodies import NOW

_FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "other": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


@lru_cache(maxsize=1)
def _keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """Of the authority and of the signer; making them takes longer than any test."""
    first, second = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    return first, second


class FakeAmazon:
    """Signs messages, and answers for its certificates; `AmazonVisits` for the gateway.

    Args:
        name: the signing certificate's subject.
        since: when it becomes valid; it is for 30 days.
    """

    def __init__(
        self, name: str = "sns.amazonaws.com", since: datetime = NOW - timedelta(days=1)
    ) -> None:
        self.visited: list[str] = []
        self.away = False
        authority, self._key = _keys()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(authority, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def signed(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message as Amazon would send it."""
        fields = _FIELDS.get(message["Type"], _FIELDS["other"])
        text = "".join(f"{name}\n{message[name]}\n" for name in fields if name in message)
        algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return {**message, "Signature": base64.b64encode(signature).decode()}

    async def get(self, url: str) -> bytes:
        """See `AmazonVisits.get`."""
        self.visited.append(url)
        if self.away:
            raise UnreachableError("Amazon does not answer.")
        return self.pem if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"

    async def aclose(self) -> None:
        """See `AmazonVisits.aclose`."""
