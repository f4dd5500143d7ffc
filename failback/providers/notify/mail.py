"""A channel of e-mail: SMTP (RFC 5321) with TLS, in plain text and HTML."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache

import aiosmtplib
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from failback.errors import ConfigurationError
from failback.providers.notify.note import Note, UndeliveredError, shortened
from failback.sections.channels import EmailConfig

_LONGEST_SUBJECT = 200
_TRANSIENT = range(400, 500)
"""Replies after which the same mail may be taken later (RFC 5321, section 4.2.1)."""


class MailChannel:
    """Implements `Channel`. A mail's Message-ID is the same in repeats, so that one is shown.

    Args:
        config: server, account, and who gets the mail.
        timeout_seconds: for one try.
        now: the clock.

    Raises:
        ConfigurationError: `ca_file` holds no certificates.
    """

    def __init__(
        self,
        config: EmailConfig,
        *,
        timeout_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._timeout = timeout_seconds
        self._now = now
        self._tls = _tls(config)

    async def send(self, note: Note) -> str:
        """See `Channel.send`."""
        config = self._config
        mail = composed(note, config, self._now())
        try:
            async with asyncio.timeout(self._timeout):
                refusals, _ = await aiosmtplib.send(
                    mail,
                    sender=config.sender,
                    recipients=list(config.recipients),
                    hostname=config.host,
                    port=config.port,
                    username=config.user or None,
                    password=config.password.get_secret_value() if config.password else None,
                    use_tls=config.tls == "implicit",
                    start_tls=config.tls == "starttls",
                    tls_context=self._tls,
                    timeout=self._timeout,
                )
        except (aiosmtplib.SMTPException, TimeoutError, OSError, ValueError) as error:
            raise _undelivered(error, self._timeout) from error
        taken = len(config.recipients) - len(refusals)
        return f"taken for {taken} of {len(config.recipients)} recipients"

    async def aclose(self) -> None:
        """See `Channel.aclose`: no connection outlives a mail."""


def composed(note: Note, config: EmailConfig, now: datetime) -> EmailMessage:
    """A note as a mail. Mails about one thing refer to one root, so that readers thread them."""
    domain = config.sender.rpartition("@")[2].rstrip(">") or "failback.invalid"
    mail = EmailMessage()
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.recipients)
    mail["Subject"] = shortened(note.subject, _LONGEST_SUBJECT)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_name(note.key)}@{domain}>"
    mail["References"] = f"<{_name(note.thread)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office is wanted
    if note.message.severity == "critical":
        mail["Importance"] = "high"
    mail.set_content(plain(note))
    mail.add_alternative(_template().render(note=note), subtype="html")
    return mail


def plain(note: Note) -> str:
    """The part for readers without HTML."""
    facts = "\n".join(f"{name}: {value}" for name, value in note.facts.items())
    links = "\n".join(f"{text}: {address}" for text, address in note.links.items())
    return "\n\n".join(part for part in (note.text, facts, links, _foot(note)) if part) + "\n"


def _foot(note: Note) -> str:
    message = note.message
    name = "" if note.public else f" by failback for {message.estate}"
    return f"Sent{name} about what happened at {message.occurred_at:%F %T} UTC."


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _tls(config: EmailConfig) -> ssl.SSLContext | None:
    if config.tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"{config.ca_file} cannot be used to check the mail server {config.host}: {error}.",
            "Name a file of certificates in PEM form in ca_file.",
        ) from error


def _undelivered(error: Exception, timeout_seconds: float) -> UndeliveredError:
    """What an error of the conversation means; its text may repeat addresses and is left out."""
    kind = type(error).__name__
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [one.code for one in error.recipients]
        return UndeliveredError(
            f"every recipient was refused ({', '.join(sorted({str(code) for code in codes}))})",
            retryable=any(code in _TRANSIENT for code in codes),
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return UndeliveredError(f"{kind} {error.code}", retryable=error.code in _TRANSIENT)
    if isinstance(error, TimeoutError):
        return UndeliveredError(f"no answer within {timeout_seconds:g} s", retryable=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return UndeliveredError("the server's certificate is not trusted", retryable=False)
    mends = not isinstance(error, aiosmtplib.SMTPNotSupported | ValueError)
    return UndeliveredError(kind, retryable=mends)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("failback.providers.notify"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("mail.html.j2")
