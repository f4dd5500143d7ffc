"""How commands reach HAProxy's runtime API, and what its answers mean.

One connection carries one batch: commands joined by `;`, each answered by lines that end
with an empty one (HAProxy management guide, section 9.3). HAProxy reports refusals as text
on a healthy connection, so that every answer has to be read.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from failback.errors import BalancerError, ConfigurationError, FailbackError, UnreachableError

_ROUTES_CURE = "Compare traffic.routes with HAProxy's own configuration."
_REFUSALS: tuple[tuple[str, str], ...] = (
    (
        "Permission denied",
        "Give the socket `level admin` in HAProxy's `stats socket` line, and reload.",
    ),
    ("No such backend", _ROUTES_CURE),
    ("No such proxy", _ROUTES_CURE),
    ("No such server", _ROUTES_CURE),
    (
        "Unknown map identifier",
        "Load the map in HAProxy's configuration, under the path of traffic.balancer.doors_map.",
    ),
    (
        "Backend is using a static LB algorithm",
        "Give the backend a dynamic algorithm: roundrobin, leastconn or random.",
    ),
    ("Unknown command", "HAProxy 2.4 or newer is needed."),
)
NO_ENTRY = "entry not found"
"""The answer to `set map` for a key that the map lacks."""

_BATCH_BYTES = 8000
"""A batch must fit into HAProxy's buffer (`tune.bufsize`, 16384 by default)."""


class Command(NamedTuple):
    """One command, and the sentence that says what it was for when it is refused."""

    text: str
    purpose: str


def word(text: str) -> str:
    """One word of a command, with the characters escaped that would end it.

    Raises:
        ConfigurationError: the text holds a line break or nothing.
    """
    if not text or not text.isprintable():
        raise ConfigurationError(
            f"{text!r} cannot be part of a command to HAProxy.", "Correct it under traffic."
        )
    return "".join(f"\\{char}" if char in "\\; '\"" else char for char in text)


def refusal(command: Command, answer: str) -> BalancerError:
    """The error for an answer that refuses a command."""
    first_line = answer.strip().splitlines()[0] if answer.strip() else ""
    cure = next((cure for start, cure in _REFUSALS if first_line.startswith(start)), "")
    return BalancerError(
        f"HAProxy refused to {command.purpose}: {first_line[:200]}",
        cure or "Look the message up in HAProxy's management guide.",
    )


def refused(answer: str) -> bool:
    """Whether an answer is one of the refusals that HAProxy gives to any command."""
    return answer.startswith(tuple(start for start, _ in _REFUSALS))


class RuntimeApi:
    """A client of the runtime API. Holds no connection between batches.

    Args:
        address: `unix:///path/to.sock` or `tcp://host:port`.
        timeout_seconds: how long one batch may take, connecting included.

    Raises:
        ConfigurationError: the address is neither.
    """

    def __init__(self, address: str, timeout_seconds: float = 2.0) -> None:
        self.address = address
        self._timeout = timeout_seconds
        self._path, self._host, self._port = _parsed(address)

    async def run(self, commands: Sequence[Command]) -> list[str]:
        """Send commands in order; the answers, one for each, without their final line breaks.

        Raises:
            UnreachableError: nothing listens, or no answer came in time.
            BalancerError: the socket may not be opened, or answers are missing.
        """
        answers: list[str] = []
        for batch in _batches(commands):
            answers.extend(await self._batch(batch))
        return answers

    async def _batch(self, batch: Sequence[Command]) -> list[str]:
        line = ";".join(command.text for command in batch) + "\n"
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._exchange(line.encode())
        except TimeoutError as error:
            raise UnreachableError(
                f"HAProxy's runtime API at {self.address} did not answer within "
                f"{self._timeout:g} s.",
                "See whether HAProxy runs and is not overloaded.",
            ) from error
        except PermissionError as error:
            raise BalancerError(
                f"HAProxy's runtime API at {self.address} may not be opened by this user.",
                "Set user, group and mode in HAProxy's `stats socket` line.",
            ) from error
        except OSError as error:
            raise self._unreachable(error) from error
        answers = _split(answer.decode(errors="replace"))
        if len(answers) != len(batch):
            raise BalancerError(
                f"HAProxy gave {len(answers)} answers to {len(batch)} commands.",
                "See HAProxy's log: it may have been reloaded meanwhile.",
            )
        return answers

    def _unreachable(self, error: OSError) -> FailbackError:
        return UnreachableError(
            f"HAProxy's runtime API at {self.address} cannot be reached: "
            f"{error.strerror or error}.",
            "Start HAProxy, or correct traffic.balancer.runtime_api.",
        )

    async def _exchange(self, line: bytes) -> bytes:
        if self._path:
            reader, writer = await asyncio.open_unix_connection(self._path)
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _parsed(address: str) -> tuple[str, str, int]:
    """(socket path, host, port) of an address."""
    try:
        parts = urlsplit(address)
        if parts.scheme == "unix" and parts.path:
            return parts.path, "", 0
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return "", parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigurationError(
        f"{address!r} is no address of HAProxy's runtime API.",
        "Write unix:///path/to.sock or tcp://host:port under traffic.balancer.runtime_api.",
    )


def _batches(commands: Sequence[Command]) -> list[list[Command]]:
    """Commands in batches that each fit into HAProxy's buffer."""
    batches: list[list[Command]] = []
    size = _BATCH_BYTES
    for command in commands:
        length = len(command.text.encode()) + 1
        if size + length > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(command)
        size += length
    return batches


def _split(text: str) -> list[str]:
    """Answers, each of which ended with an empty line."""
    answers: list[str] = []
    lines: list[str] = []
    for line in text.split("\n")[:-1]:
        if line:
            lines.append(line)
        else:
            answers.append("\n".join(lines))
            lines = []
    if lines:
        answers.append("\n".join(lines))
    return answers
