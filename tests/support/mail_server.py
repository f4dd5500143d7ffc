"""A real mail server on this machine, with TLS and accounts."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER = "failback"
PASSWORD = "planted-mail-password"


@dataclass
class MailServer:
    """What arrived, and what is answered instead of taking it.

    Args:
        tls: `starttls`, `implicit` or `none`.
        ca_file: what a client trusts it by.
    """

    tls: str
    ca_file: Path
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        self.envelopes.append(envelope)
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


def _authenticated(
    server: Any, session: Any, envelope: Any, mechanism: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=right, handled=False)


def certificate(folder: Path) -> Path:
    """A self-signed certificate for this machine, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextlib.asynccontextmanager
async def mail_server(folder: Path, tls: str = "starttls") -> AsyncIterator[MailServer]:
    """A mail server, until the body ends; with TLS it demands a login.

    `open` takes logins in the clear, as no server should.
    """
    pem = certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    mails = MailServer(tls, pem)
    options: dict[str, Any] = {}
    if tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    if tls in ("implicit", "open"):
        # The server does not see the TLS around it, and warns of a login that it demands.
        options |= {"auth_require_tls": False}
    if tls != "none":
        options |= {"authenticator": _authenticated}
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mails, hostname="localhost", **options),
        "127.0.0.1",
        0,
        ssl=context if tls == "implicit" else None,
    )
    mails.port = listening.sockets[0].getsockname()[1]
    try:
        yield mails
    finally:
        listening.close()
