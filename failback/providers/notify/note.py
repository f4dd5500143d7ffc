"""What a channel writes: a message in the words that its readers get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from failback.models.messages import Message, MessageKind
from failback.sections.channels import PublicTextConfig

PUBLIC_TEXTS: dict[MessageKind, PublicTextConfig] = {
    MessageKind.ROLLBACK_STARTED: PublicTextConfig(
        subject="We are looking into a problem with our service",
        text="Some requests may be slow or fail. We are moving the service back to the system "
        "that it ran on before. Your data is safe; we will write again when that is done.",
    ),
    MessageKind.TRAFFIC_RESTORED: PublicTextConfig(
        subject="Our service is back",
        text="The service runs on the system that it ran on before. We are watching it, and "
        "finishing our checks.",
    ),
    MessageKind.ROLLBACK_SUCCEEDED: PublicTextConfig(
        subject="The problem with our service is solved",
        text="The service runs on the system that it ran on before, and our checks have passed. "
        "We are sorry for the disturbance.",
    ),
    MessageKind.ROLLBACK_FAILED: PublicTextConfig(
        subject="We are still working on a problem with our service",
        text="Some requests may be slow or fail. Our engineers are working on it; we will write "
        "again when there is news.",
    ),
    MessageKind.TEST: PublicTextConfig(
        subject="A test of our notifications",
        text="This is a test. Nothing has happened, and there is nothing to do.",
    ),
}
"""What the public reads: never a host, a name, an error or a figure."""


@dataclass(frozen=True)
class Note:
    """One message as one channel's readers get it.

    Args:
        message: what happened.
        channel: the channel's name.
        subject: one line without line breaks.
        text: paragraphs of plain text.
        facts: names and values to be shown as a list.
        links: texts and addresses; may hold a person's own approval link.
        public: whether outsiders read it.
    """

    message: Message
    channel: str
    subject: str
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    public: bool = False

    @property
    def key(self) -> str:
        """The same in every repeat of this message on this channel."""
        return f"{self.message.estate}/{self.message.key}/{self.channel}"

    @property
    def thread(self) -> str:
        """What the message belongs to, among all estates."""
        return f"failback/{self.message.estate}/{self.message.thread}"


class UndeliveredError(Exception):
    """A channel did not take a note.

    Args:
        detail: why, without an address or a secret.
        retryable: whether the same note may be taken later.
        retry_after_seconds: how long the vendor asks us to wait before that.
    """

    def __init__(
        self, detail: str, *, retryable: bool, retry_after_seconds: float | None = None
    ) -> None:
        self.detail = detail
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail)


class Channel(Protocol):
    """One vendor's way to tell people."""

    async def send(self, note: Note) -> str:
        """Try once; returns what the vendor said, raises UndeliveredError."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


def noted(
    message: Message,
    channel: str,
    *,
    public: Mapping[MessageKind, PublicTextConfig] | None = None,
    links: Mapping[str, str] | None = None,
) -> Note:
    """A message in the words of a channel's readers.

    Args:
        message: what happened.
        channel: the channel's name.
        public: for a channel that outsiders read, the operator's own words by kind.
        links: more links than the message's own.

    Raises:
        UndeliveredError: the public is not told of this kind at all.
    """
    if public is None:
        return Note(
            message,
            channel,
            subject=" ".join(message.subject.split()),
            text=message.text.strip(),
            facts=message.facts,
            links={**message.links, **(links or {})},
        )
    words = public.get(message.kind) or PUBLIC_TEXTS.get(message.kind)
    if words is None:
        raise UndeliveredError(f"the public is not told of {message.kind.value}", retryable=False)
    return Note(message, channel, " ".join(words.subject.split()), words.text, public=True)


def shortened(text: str, longest: int) -> str:
    """At most so many characters; what was left out is marked."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
