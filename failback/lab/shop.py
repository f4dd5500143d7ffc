"""The door that the load's customers share: requests that are counted, writes that are recorded."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from failback.lab.journal import JournalWriter, WriteKind, WriteOutcome
from failback.lab.tally import Tally
from failback.models.common import Side


@dataclass(frozen=True)
class Reply:
    """What came back from one request."""

    status: int | None
    """None when no answer came."""
    side: Side | None
    body: bytes
    failure: str | None
    """Why the request failed, in few words; None for 2xx."""
    not_sent: bool = False
    """The connection could not be made, so that nothing can have happened."""

    @property
    def outcome(self) -> WriteOutcome:
        """What this says about a write: only a clear refusal is one."""
        if self.status is None:
            return WriteOutcome.REFUSED if self.not_sent else WriteOutcome.UNKNOWN
        if self.failure is None:
            return WriteOutcome.ACKNOWLEDGED
        certain = self.status < 500 or self.failure in ("503 read_only", "no row")  # noqa: PLR2004
        return WriteOutcome.REFUSED if certain else WriteOutcome.UNKNOWN


class Shop:
    """What all customers share: the door, the journal and the counters.

    Args:
        session: an aiohttp session whose base URL is the product's.
        journal: where writes are recorded.
        tally: what counts.
        anon_key: the product's public key.
    """

    def __init__(
        self, session: aiohttp.ClientSession, journal: JournalWriter, tally: Tally, anon_key: str
    ) -> None:
        self._session = session
        self._key = {"apikey": anon_key}
        self._journal = journal
        self._tally = tally

    async def ask(
        self,
        due: float,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        rows: bool = False,
    ) -> Reply:
        """Send one request and count it; `rows` says that an empty list is a failure.

        `body` goes as JSON, `content` as it is.
        """
        sent = self._key | (headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        reply = await self._reply(method, path, sent, content)
        if rows and reply.failure is None and reply.body == b"[]":
            reply = Reply(reply.status, reply.side, reply.body, "no row")
        self._tally.answered(due=due, side=reply.side, failure=reply.failure)
        return reply

    async def write(
        self, kind: WriteKind, key: str, value: str | None, send: Callable[[], Awaitable[Reply]]
    ) -> tuple[WriteOutcome, Reply]:
        """Send a write between its two journal lines."""
        record = self._journal.sent(kind, key, value)
        began = time.monotonic()
        reply = await send()
        self._journal.settled(
            record,
            reply.outcome,
            side=reply.side,
            milliseconds=(time.monotonic() - began) * 1000,
        )
        self._tally.wrote(reply.outcome, reply.side)
        return reply.outcome, reply

    def made(self, key: str, value: str, reply: Reply) -> None:
        """Record an acknowledged write whose key only the answer could tell."""
        record = self._journal.sent(WriteKind.PUT, key, value)
        self._journal.settled(record, WriteOutcome.ACKNOWLEDGED, side=reply.side, milliseconds=0.0)
        self._tally.wrote(WriteOutcome.ACKNOWLEDGED, reply.side)

    async def _reply(
        self, method: str, path: str, headers: dict[str, str], data: bytes | None
    ) -> Reply:
        try:
            async with self._session.request(
                method, path, data=data, headers=headers, allow_redirects=False
            ) as response:
                content = await response.read()
                side = _side(response.headers.get("X-Lab-Side"))
                failure = None if response.ok else f"{response.status} {_code(content)}".strip()
                return Reply(response.status, side, content, failure)
        except aiohttp.ClientConnectorError:
            return Reply(None, None, b"", "connect", not_sent=True)
        except TimeoutError:
            return Reply(None, None, b"", "timeout")
        except (aiohttp.ClientError, OSError):
            return Reply(None, None, b"", "cut")


def _side(header: str | None) -> Side | None:
    return Side(header) if header in (Side.SOURCE.value, Side.TARGET.value) else None


def _code(content: bytes) -> str:
    """The code in an error's body; nothing where it has none (a balancer's own page)."""
    try:
        body = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    # Auth has the status in `code`.
    return str(body.get("error_code") or body.get("code", ""))
