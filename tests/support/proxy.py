"""A TCP proxy between failback and a server, whose connections a test slows down and cuts.

It runs an event loop in a thread of its own, because what is tested blocks.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 16 * 1024


class Proxy:
    """Passes connections on to one server of this machine.

    Args:
        port: of the server behind it.
    """

    def __init__(self, port: int) -> None:
        self._behind = port
        self.port = 0
        self.bytes_per_second = 0.0
        """Of each connection and direction; 0 for as fast as can be."""
        self.passed = 0
        """Bytes that went either way."""
        self._cut_after: int | None = None
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def through(self, dsn: str) -> str:
        """A connection string (URL) by way of this proxy."""
        parts = urlsplit(dsn)
        location = f"{parts.netloc.rpartition(':')[0]}:{self.port}"
        return urlunsplit(parts._replace(netloc=location))

    def cut(self) -> None:
        """Reset every connection, and refuse new ones until `heal`."""
        self._refusing = True
        self._loop.call_soon_threadsafe(self._abort)

    def cut_after(self, count: int) -> None:
        """As `cut`, as soon as so many more bytes have passed."""
        self._cut_after = self.passed + count

    @property
    def is_cut(self) -> bool:
        """Whether new connections are refused."""
        return self._refusing

    def heal(self) -> None:
        """Let new connections through, at full speed."""
        self._refusing, self._cut_after, self.bytes_per_second = False, None, 0.0

    def _abort(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, back}
        self._writers |= pair
        ways = [
            asyncio.ensure_future(self._pass(reader, back)),
            asyncio.ensure_future(self._pass(there, writer)),
        ]
        # Cancelled when the proxy stops, which asyncio would report as an error of the callback.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in pair:
            each.transport.abort()
        self._writers -= pair

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                self.passed += len(data)
                if self._cut_after is not None and self.passed >= self._cut_after:
                    self._cut_after, self._refusing = None, True
                    self._abort()
                    return
                if self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
                writer.write(data)
                await writer.drain()

    async def _close(self) -> None:
        self._server.close()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy to a port of this machine, while the block runs."""
    proxy = Proxy(port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
