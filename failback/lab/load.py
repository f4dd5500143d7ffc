"""The lab's load: signed-up customers whose acknowledged writes go to a journal.

Requests arrive at a fixed rate, whether or not earlier ones were answered (open loop), as
customers do; latencies count from the moment a request was due. How many requests may be in
flight, how long the load lasts and where it may go are bounded: it is for this machine alone.
"""

import asyncio
import ipaddress
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from failback.errors import ConfigurationError, LabError
from failback.lab.customers import Customer
from failback.lab.journal import JournalWriter, WriteOutcome
from failback.lab.shop import Shop
from failback.lab.tally import LoadProgress, LoadSummary, Tally

MOST_USERS = 5000
MOST_RPS = 5000.0
MOST_SECONDS = 3600.0
TIMEOUT_SECONDS = 15.0
"""How long a customer waits; longer than a door may be held."""

Watcher = Callable[[LoadProgress], None]

_SIGN_UPS_AT_ONCE = 32
_SIGN_UP_TRIES = 5
_LEAST_IN_FLIGHT = 256
_MOST_IN_FLIGHT = 3000
_PROGRESS_SECONDS = 1.0
_BURST = 16


async def run(
    api_url: str,
    *,
    users: int,
    rps: float,
    seconds: float,
    journal: Path,
    anon_key: str,
    on_progress: Watcher | None = None,
    seed: int | None = None,
    objects: bool = False,
    stop: asyncio.Event | None = None,
) -> LoadSummary:
    """Sign customers up, let them act for a while, and sum up what they met.

    Args:
        api_url: the product as customers reach it; loopback only.
        users: how many customers are signed up first.
        rps: requests that are due in a second.
        seconds: how long requests are sent, sign-ups not counted. Then the answers that are
            due are waited for, at most `TIMEOUT_SECONDS`.
        journal: file of the writes; one that is there is continued.
        anon_key: the product's public key.
        on_progress: called about once a second, in the event loop's thread.
        seed: makes the customers' choices repeatable; the keys differ in each run.
        objects: whether customers store objects, too: 8 of 108 requests write or delete one.
        stop: set it to end earlier, with a summary.

    Raises:
        ConfigurationError: the URL is not of this machine, or a number is out of bounds.
        LabError: no customer could be signed up.
        JournalError: the journal is something else, or cannot be written.
    """
    _check(api_url, users=users, rps=rps, seconds=seconds)
    tally = Tally()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    with JournalWriter(journal, api_url=api_url) as writer:
        async with aiohttp.ClientSession(
            api_url.rstrip("/"), connector=connector, timeout=timeout
        ) as session:
            shop = Shop(session, writer, tally, anon_key)
            load = _Load(shop, tally, users, random.Random(seed), on_progress, objects=objects)
            await load.sign_up()
            await load.send(rps, seconds, stop or asyncio.Event())
    return tally.summary(users)


class _Load:
    """The customers and their requests in flight."""

    def __init__(
        self,
        shop: Shop,
        tally: Tally,
        users: int,
        dice: random.Random,
        on_progress: Watcher | None,
        *,
        objects: bool,
    ) -> None:
        self._shop = shop
        self._tally = tally
        self._users = users
        self._dice = dice
        self._on_progress = on_progress
        self._objects = objects
        self._run_id = uuid.uuid4().hex[:10]
        self._customers: list[Customer] = []
        self._flying: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def sign_up(self) -> None:
        """Make all customers, some at a time."""
        gate = asyncio.Semaphore(_SIGN_UPS_AT_ONCE)
        try:
            async with self._told("signing up"), asyncio.TaskGroup() as group:
                for number in range(self._users):
                    group.create_task(self._sign_one_up(number, gate))
        except BaseExceptionGroup as failures:
            # One cause, such as a journal on a full disk, however many met it.
            raise failures.exceptions[0] from None
        if not self._customers:
            reasons = ", ".join(self._tally.failures) or "no reason was given"
            raise LabError(
                f"No customer could be signed up ({reasons}).",
                "Is the lab up and healthy? See `failback lab status`.",
            )

    async def send(self, rps: float, seconds: float, stop: asyncio.Event) -> None:
        """Send requests at the rate until the time is over, and wait for the last answers."""
        bound = min(_MOST_IN_FLIGHT, max(_LEAST_IN_FLIGHT, self._users, int(2 * rps)))
        self._tally.start()
        began = time.monotonic()
        try:
            async with self._told("running"):
                for number in range(int(rps * seconds)):
                    await self._wait_until(began + number / rps, number)
                    if stop.is_set() or self._failure is not None:
                        break
                    if len(self._flying) < bound:
                        self._launch(began + number / rps)
                    else:
                        self._tally.skipped += 1
                self._tally.stop()
                if self._flying:
                    await asyncio.wait(self._flying, timeout=TIMEOUT_SECONDS + 5)
        finally:
            await self._give_up_the_rest()
        if self._failure is not None:
            raise self._failure

    async def _sign_one_up(self, number: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            for attempt in range(_SIGN_UP_TRIES):
                # A new address each time: the one before may have been taken after all.
                email = f"u{number}.{attempt}.{self._run_id}@load.example.org"
                dice = random.Random(self._dice.random())
                customer = Customer(self._shop, email, dice, objects=self._objects)
                if await customer.sign_up() is WriteOutcome.ACKNOWLEDGED:
                    self._customers.append(customer)
                    return
                await asyncio.sleep(0.1 * (attempt + 1))

    async def _wait_until(self, due: float, number: int) -> None:
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        elif number % _BURST == 0:
            # Behind the schedule: let answers in before the next burst.
            await asyncio.sleep(0)

    async def _give_up_the_rest(self) -> None:
        """Cancel what is in flight; the journal has those writes as sent, so as unknown."""
        rest = list(self._flying)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)

    def _launch(self, due: float) -> None:
        customer = self._dice.choice(self._customers)
        task = asyncio.create_task(customer.act(due))
        self._flying.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A journal that cannot be written, or a mistake of ours: the load must not go on.
            self._failure = task.exception()

    @asynccontextmanager
    async def _told(self, phase: str) -> AsyncIterator[None]:
        """Report progress while the body runs, and once when it has ended."""
        teller = asyncio.create_task(self._tell(phase))
        try:
            yield
        finally:
            teller.cancel()
            await asyncio.wait([teller])
            self._report(phase)

    async def _tell(self, phase: str) -> None:
        while True:
            self._report(phase)
            await asyncio.sleep(_PROGRESS_SECONDS)

    def _report(self, phase: str) -> None:
        if self._on_progress is not None:
            self._on_progress(
                self._tally.progress(phase, users=len(self._customers), in_flight=len(self._flying))
            )


def _check(api_url: str, *, users: int, rps: float, seconds: float) -> None:
    host = urlsplit(api_url).hostname or ""
    if urlsplit(api_url).scheme != "http" or not _is_loopback(host):
        raise ConfigurationError(
            f"The load goes to this machine alone, and {api_url} is not on loopback.",
            "Name the lab's own URL, such as http://127.0.0.1:8000.",
        )
    for name, value, least, most in (
        ("users", users, 1, MOST_USERS),
        ("rps", rps, 0.1, MOST_RPS),
        ("seconds", seconds, 0.1, MOST_SECONDS),
    ):
        if not least <= value <= most:
            raise ConfigurationError(
                f"{name} is {value}, which is out of bounds.",
                f"Choose a number from {least} to {most:g}.",
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
