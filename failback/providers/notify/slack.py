"""A channel of Slack: an incoming webhook, or `chat.postMessage` as a bot.

Limits and escaping: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/messaging/formatting-message-text#escaping.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from failback.providers.notify.http import Poster, refused
from failback.providers.notify.note import Note, UndeliveredError, shortened
from failback.providers.retrying import retry_after
from failback.sections.channels import SlackConfig

MOST_BLOCKS = 50
LONGEST_TEXT = 3000
_LONGEST_HEADER = 150
_LONGEST_FIELD = 2000
_MOST_FIELDS = 10
_LONGEST_FALLBACK = 4000
_LONGEST_MESSAGE = 12_000
"""All blocks together. Slack documents no such limit, and answers `msg_blocks_too_long` a little
above 13 000 characters (https://github.com/slackapi/bolt-js/issues/2509)."""
_MAY_PASS = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
_COLOURS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


class SlackChannel:
    """Implements `Channel`.

    Slack has no key for repeats; the message's is in its metadata, where a bot posts it.

    Args:
        config: webhook, or token and channel.
        timeout_seconds: for one try.
    """

    def __init__(self, config: SlackConfig, *, timeout_seconds: float) -> None:
        token = config.token.get_secret_value() if config.token else ""
        self._webhook = config.webhook_url.get_secret_value() if config.webhook_url else ""
        self._api = f"{config.api_url.rstrip('/')}/chat.postMessage"
        self._channel = config.channel
        self._poster = Poster(
            timeout_seconds, {"authorization": f"Bearer {token}"} if token else None
        )

    async def send(self, note: Note) -> str:
        """See `Channel.send`."""
        body = document(note)
        if self._webhook:
            answer = await self._poster.send("POST", self._webhook, json=body)
            return f"HTTP {answer.status_code}"
        body |= {
            "channel": self._channel,
            "metadata": {
                "event_type": "failback_message",
                "event_payload": {"key": note.key, "kind": note.message.kind.value},
            },
        }
        answer = await self._poster.send("POST", self._api, json=body)
        try:
            said = answer.json()
        except ValueError as error:
            raise UndeliveredError("the answer is no JSON", retryable=True) from error
        if not isinstance(said, dict) or not said.get("ok"):
            problem = str(said.get("error", "")) if isinstance(said, dict) else ""
            raise UndeliveredError(
                f"Slack says {shortened(problem, 100) or 'nothing'}",
                retryable=problem in _MAY_PASS or refused(answer).retryable,
                retry_after_seconds=retry_after(answer),
            )
        return f"posted as {said.get('ts', 'unknown')}"

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        await self._poster.aclose()


def document(note: Note) -> dict[str, Any]:
    """The message as Slack takes it: blocks, and a text for notifications and old clients."""
    mark = _COLOURS.get(note.message.severity, "")
    title = shortened(f"{mark} {note.subject}".strip(), _LONGEST_HEADER)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}}
    ]
    blocks += [_section(part) for part in parts(note.text, LONGEST_TEXT)]
    facts = list(note.facts.items())
    for first in range(0, len(facts), _MOST_FIELDS):
        fields = [_fact(*fact) for fact in facts[first : first + _MOST_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    blocks += [_section(text) for text in _link_lines(note.links)]
    message = note.message
    foot = f"{message.kind.value} · {message.estate} · {message.occurred_at:%F %T} UTC"
    if message.rollback_id and not note.public:
        foot += f" · {message.rollback_id}"
    blocks = _fitting(blocks)
    blocks.append(
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": escaped(shortened(foot, 400))}],
        }
    )
    return {
        "text": next(parts(f"{note.subject}\n{note.text}", _LONGEST_FALLBACK), ""),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """A text in which Slack finds no mention, link or entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def parts(text: str, longest: int) -> Iterator[str]:
    """A text, escaped, in pieces that fit; no entity is cut, lines are kept whole if they fit."""
    piece = ""
    for line in text.splitlines(keepends=True):
        whole = escaped(line)
        if len(piece) + len(whole) <= longest:
            piece += whole
            continue
        if piece.strip():
            yield piece.rstrip()
        piece = ""
        for character in line if len(whole) > longest else (line,):
            shown = escaped(character)
            if len(piece) + len(shown) > longest:
                yield piece
                piece = ""
            piece += shown
    if piece.strip():
        yield piece.rstrip()


def _fitting(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first blocks that Slack takes together, with room for one more at the end."""
    room = _LONGEST_MESSAGE
    taken = []
    for block in blocks[: MOST_BLOCKS - 1]:
        texts = [block["text"]] if "text" in block else block["fields"]
        room -= sum(len(text["text"]) for text in texts)
        if room < 0:
            break
        taken.append(block)
    return taken


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _fact(name: str, value: str) -> dict[str, str]:
    head = f"*{escaped(shortened(name, 200))}*\n"
    room = _LONGEST_FIELD - len(head)
    return {"type": "mrkdwn", "text": head + next(parts(value or "–", room), "–")}


def _link_lines(links: Mapping[str, str]) -> Iterator[str]:
    """One line for each link; what Slack could not show as one is left out."""
    for text, address in links.items():
        line = f"<{_link_safe(address)}|{_link_safe(escaped(shortened(text, 200)))}>"
        if len(line) <= LONGEST_TEXT:
            yield line


def _link_safe(text: str) -> str:
    """Without the marks that end a link's address or text."""
    return text.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")
