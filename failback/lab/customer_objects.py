"""What a customer of the load does with stored objects: new ones, other bytes, deletes."""

import hashlib
import random
from collections.abc import Callable

from failback.lab.journal import WriteKind, WriteOutcome
from failback.lab.objects import BUCKETS
from failback.lab.shop import Shop

TABLE = "objects"
"""What their keys in a journal begin with: `objects/bucket/name`."""

_MOST_OBJECTS = 20
"""Objects that a customer keeps alive; beyond it, it replaces what it has."""
_NEW_SHARE = 0.5
_MOST_BYTES = 4096
_LARGE_SHARE, _LARGE_BYTES = 0.02, 256 * 1024
_ROOT = "/storage/v1/object"


def fingerprint(body: bytes) -> str:
    """What a journal holds of an object: digest and bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()} {len(body)}"


class CustomerObjects:
    """The objects of one customer.

    A name is out of the list while a write to it is in flight, and for good after one whose
    outcome is unknown, as for a customer's keys.

    Args:
        shop: the shared door.
        folder: the folder of its names; unique for a load.
        dice: what it picks with.
        token: its access token as it is now.
    """

    def __init__(
        self, shop: Shop, folder: str, dice: random.Random, token: Callable[[], str]
    ) -> None:
        self._shop = shop
        self._folder = folder
        self._dice = dice
        self._token = token
        self._names: list[str] = []
        self._made = 0

    async def put(self, due: float) -> None:
        """Store a new object, or replace one of its own."""
        room = len(self._names) < _MOST_OBJECTS
        new = not self._names or (room and self._dice.random() < _NEW_SHARE)
        name = self._new() if new else self._taken()
        body = self._body()
        headers = {
            "Content-Type": "text/plain" if name.endswith(".txt") else "image/png",
            "Cache-Control": f"max-age={self._dice.choice((60, 3600))}",
            "x-upsert": "true",
        }
        outcome, _ = await self._shop.write(
            WriteKind.PUT,
            f"{TABLE}/{name}",
            fingerprint(body),
            lambda: self._shop.ask(
                due,
                "POST",
                f"{_ROOT}/{name}",
                token=self._token(),
                content=body,
                headers=headers,
            ),
        )
        if outcome is WriteOutcome.ACKNOWLEDGED or (outcome is WriteOutcome.REFUSED and not new):
            self._names.append(name)

    async def remove(self, due: float) -> None:
        """Delete one of its objects."""
        if not self._names:
            await self.put(due)
            return
        name = self._taken()
        outcome, _ = await self._shop.write(
            WriteKind.DELETE,
            f"{TABLE}/{name}",
            None,
            lambda: self._shop.ask(due, "DELETE", f"{_ROOT}/{name}", token=self._token()),
        )
        if outcome is WriteOutcome.REFUSED:
            self._names.append(name)

    def _new(self) -> str:
        self._made += 1
        bucket = self._dice.choice(BUCKETS)
        kind = "txt" if bucket == BUCKETS[0] else "png"
        return f"{bucket}/{self._folder}/{self._made}.{kind}"

    def _taken(self) -> str:
        place = self._dice.randrange(len(self._names))
        self._names[place], self._names[-1] = self._names[-1], self._names[place]
        return self._names.pop()

    def _body(self) -> bytes:
        """Bytes that no other object has."""
        large = self._dice.random() < _LARGE_SHARE
        return self._dice.randbytes(_LARGE_BYTES if large else self._dice.randint(16, _MOST_BYTES))
