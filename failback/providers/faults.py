"""What every fake has in common: it records its calls, and fails or hangs as a test asks."""

import asyncio
import threading
from typing import NamedTuple

from failback.errors import UnreachableError

_POLL_SECONDS = 0.005


class Call(NamedTuple):
    """One call of a fake, in the order in which calls came."""

    port: str
    """The kind of fake: `balancer`, `dns`, `checks`, `notifier` or `sync`."""
    method: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.port}.{self.method}"


class Faults:
    """Base of the fakes. Thread-safe.

    Args:
        port: the kind of fake, as recorded with each call.
        calls: where calls are recorded; several fakes may share one list, so that a test
            sees their common order. None starts a new one.
    """

    def __init__(self, port: str, calls: list[Call] | None = None) -> None:
        self._port = port
        self.calls: list[Call] = [] if calls is None else calls
        self._failures: dict[str, list[Exception]] = {}
        self._always: dict[str, Exception] = {}
        self._gates: dict[str, threading.Event] = {}

    def fail(self, method: str, times: int | None = 1, error: Exception | None = None) -> None:
        """Let the next calls of a method fail.

        Args:
            method: a method of this fake; AttributeError where it has none of this name.
            times: how many calls fail; None lets all fail until `recover`.
            error: what is raised; an UnreachableError when not given.
        """
        self._known(method)
        raised = error or UnreachableError(
            f"The fake {self._port} does not answer.", "It was told to fail."
        )
        if times is None:
            self._always[method] = raised
        else:
            self._failures.setdefault(method, []).extend([raised] * times)

    def recover(self, method: str | None = None) -> None:
        """Forget the failures of one method, or of all."""
        for failures in (self._failures, self._always):
            if method is None:
                failures.clear()
            else:
                failures.pop(method, None)

    def hang(self, method: str) -> None:
        """Let calls of a method wait until `release`; they are recorded before they wait."""
        self._known(method)
        self._gates[method] = threading.Event()

    def release(self, method: str) -> None:
        """Let the calls that wait in a method go on, and later ones through."""
        gate = self._gates.pop(method, None)
        if gate is not None:
            gate.set()

    def called(self, method: str) -> list[Call]:
        """The calls of one method of this fake."""
        return [call for call in self.calls if call.port == self._port and call.method == method]

    def _known(self, method: str) -> None:
        if not hasattr(type(self), method):
            raise AttributeError(f"the fake {self._port} has no method {method}")

    def _record(self, method: str, arguments: tuple[object, ...]) -> None:
        self.calls.append(Call(self._port, method, arguments))

    def _failure(self, method: str) -> Exception | None:
        """The failure that this call is due, taken off the list."""
        if method in self._always:
            return self._always[method]
        due = self._failures.get(method)
        return due.pop(0) if due else None

    def _raise_if_due(self, method: str) -> None:
        failure = self._failure(method)
        if failure is not None:
            raise failure

    def _called_blocking(self, method: str, *arguments: object) -> None:
        """Record a blocking call, wait while it hangs, and raise what it is due."""
        self._record(method, arguments)
        gate = self._gates.get(method)
        if gate is not None:
            gate.wait()
        self._raise_if_due(method)

    async def _passed(self, method: str, *arguments: object) -> Exception | None:
        """Record an asynchronous call, wait while it hangs, and return what it is due."""
        self._record(method, arguments)
        gate = self._gates.get(method)
        # An asyncio.Event cannot be set from another thread, and a thread that waits for the
        # gate would outlive a cancelled call.
        while gate is not None and not gate.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        return self._failure(method)

    async def _called(self, method: str, *arguments: object) -> None:
        """As `_passed`, and raise what the call is due."""
        failure = await self._passed(method, *arguments)
        if failure is not None:
            raise failure
