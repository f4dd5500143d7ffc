"""The load's customers: what one does, and what it keeps alive between two requests."""

import asyncio
import base64
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from failback.lab.customer_objects import CustomerObjects
from failback.lab.journal import WriteKind, WriteOutcome
from failback.lab.shop import Reply, Shop

PASSWORD = "load-customer"

_MOST_KEYS = 40
"""Keys of each kind that a customer keeps alive; beyond it, it changes what it has."""
_ROWS = {"Prefer": "return=representation"}
_UPSERT = {"Prefer": "return=representation,resolution=merge-duplicates"}
_SOFT = {"Prefer": "return=representation,deletion=soft"}
_WORDS = ("lake", "duck", "harbour", "winter", "bread", "engine", "letter", "garden", "copper")


class Customer:
    """One user with a session, some keys and some documents.

    A key is taken out of its list while a write to it is in flight, so that at most one is, and
    it is never used again after a write whose outcome is unknown: a late commit must not mix
    with later writes.

    Args:
        shop: the shared door.
        email: the customer's address; unique for a load.
        dice: what it picks with.
        objects: whether it stores objects, too.
    """

    def __init__(
        self, shop: Shop, email: str, dice: random.Random, *, objects: bool = False
    ) -> None:
        self._shop = shop
        self._email = email
        self._dice = dice
        self._token = ""
        self._refresh: str | None = None
        self._keys: list[str] = []
        self._documents: list[str] = []
        self._made = 0
        self._lines = 0
        self._signing_in = asyncio.Lock()
        self._objects = CustomerObjects(shop, email.partition("@")[0], dice, lambda: self._token)
        mix = (*_MIX, *_OBJECT_MIX) if objects else _MIX
        self._actions = [action for action, _ in mix]
        self._weights = [weight for _, weight in mix]

    async def sign_up(self) -> WriteOutcome:
        """Make the user and its first session."""
        outcome, reply = await self._shop.write(
            WriteKind.PUT,
            f"users/{self._email}",
            self._email,
            lambda: self._shop.ask(
                time.monotonic(),
                "POST",
                "/auth/v1/signup",
                body={"email": self._email, "password": PASSWORD},
            ),
        )
        if outcome is WriteOutcome.ACKNOWLEDGED:
            self._keep(reply)
        return outcome

    async def act(self, due: float) -> None:
        """Do one thing: about 60 % write, the rest read, log in or ask."""
        await self._dice.choices(self._actions, self._weights)[0](self, due)

    async def put(self, due: float) -> None:
        """Upsert one of the keys, or a new one."""
        new = not self._keys or (len(self._keys) < _MOST_KEYS and self._dice.random() < 0.3)  # noqa: PLR2004
        name = self._new_name() if new else self._taken(self._keys)
        value = self._value()
        outcome, _ = await self._shop.write(
            WriteKind.PUT,
            f"lab_writes/{name}",
            value,
            lambda: self._rest(
                due, "POST", "lab_writes", {"key": name, "value": value}, _UPSERT, rows=True
            ),
        )
        if outcome is WriteOutcome.ACKNOWLEDGED or (outcome is WriteOutcome.REFUSED and not new):
            self._keys.append(name)

    async def remove(self, due: float) -> None:
        """Delete one of the keys."""
        if not self._keys:
            await self.put(due)
            return
        name = self._taken(self._keys)
        outcome, _ = await self._shop.write(
            WriteKind.DELETE,
            f"lab_writes/{name}",
            None,
            lambda: self._rest(due, "DELETE", f"lab_writes?key=eq.{name}", None, _ROWS, rows=True),
        )
        if outcome is WriteOutcome.REFUSED:
            self._keys.append(name)

    async def write_document(self, due: float) -> None:
        """Insert a document, or edit one."""
        if self._documents and (len(self._documents) >= _MOST_KEYS or self._dice.random() < 0.5):  # noqa: PLR2004
            await self._edit_document(due)
        else:
            await self._new_document(due)

    async def remove_document(self, due: float) -> None:
        """Delete a document, softly or for good."""
        if not self._documents:
            await self._new_document(due)
            return
        name = self._taken(self._documents)
        how = self._dice.choice((_SOFT, _ROWS))
        outcome, _ = await self._shop.write(
            WriteKind.DELETE,
            f"documents/{name}",
            None,
            lambda: self._rest(due, "DELETE", f"documents?id=eq.{name}", None, how, rows=True),
        )
        if outcome is WriteOutcome.REFUSED:
            self._documents.append(name)

    async def put_object(self, due: float) -> None:
        """Store an object, or replace one."""
        await self._objects.put(due)

    async def remove_object(self, due: float) -> None:
        """Delete an object."""
        await self._objects.remove(due)

    async def read(self, due: float) -> None:
        """Look at the newest documents, or at one key."""
        if self._keys and self._dice.random() < 0.5:  # noqa: PLR2004 - one half
            path = f"lab_writes?key=eq.{self._dice.choice(self._keys)}"
        else:
            path = "documents?select=id,title,updated_at&order=updated_at.desc&limit=10"
        await self._rest(due, "GET", path)

    async def ask(self, due: float) -> None:
        """Ask the documents something."""
        question = f"Where is the {self._dice.choice(_WORDS)} of the {self._dice.choice(_WORDS)}?"
        await self._shop.ask(
            due, "POST", "/functions/v1/ai-query", token=self._token, body={"query": question}
        )

    async def sign_in(self, due: float) -> None:
        """Get a new session by the password, or new tokens for the current one."""
        if self._signing_in.locked():
            await self.read(due)
            return
        async with self._signing_in:
            refresh, self._refresh = self._refresh, None
            if refresh is not None and self._dice.random() < 0.3:  # noqa: PLR2004
                body, grant = {"refresh_token": refresh}, "refresh_token"
            else:
                body, grant = {"email": self._email, "password": PASSWORD}, "password"
            reply = await self._shop.ask(
                due, "POST", f"/auth/v1/token?grant_type={grant}", body=body
            )
            if reply.failure is None:
                self._keep(reply, new=grant == "password")

    async def _new_document(self, due: float) -> None:
        name, value = str(uuid.UUID(int=self._dice.getrandbits(128), version=4)), self._value()
        row = {
            "id": name,
            "title": f"The {self._dice.choice(_WORDS)}",
            "body": value,
            "tags": [self._dice.choice(_WORDS)],
            "metadata": {"made": self._made},
            "price": self._dice.randrange(10_000) / 100,
        }
        outcome, _ = await self._shop.write(
            WriteKind.PUT,
            f"documents/{name}",
            value,
            lambda: self._rest(due, "POST", "documents", row, _ROWS, rows=True),
        )
        if outcome is WriteOutcome.ACKNOWLEDGED:
            self._documents.append(name)

    async def _edit_document(self, due: float) -> None:
        name, value = self._taken(self._documents), self._value()
        change = {"body": value, "status": self._dice.choice(("draft", "published", "archived"))}
        path = f"documents?id=eq.{name}&select=id"
        outcome, _ = await self._shop.write(
            WriteKind.PUT,
            f"documents/{name}",
            value,
            lambda: self._rest(due, "PATCH", path, change, _ROWS, rows=True),
        )
        if outcome is not WriteOutcome.UNKNOWN:
            self._documents.append(name)

    async def _rest(
        self,
        due: float,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        rows: bool = False,
    ) -> Reply:
        return await self._shop.ask(
            due,
            method,
            f"/rest/v1/{path}",
            token=self._token,
            body=body,
            headers=headers,
            rows=rows,
        )

    def _keep(self, reply: Reply, *, new: bool = True) -> None:
        """Go on with the tokens of an answer; a new session is a write to be judged."""
        issued = json.loads(reply.body)
        self._token, self._refresh = issued["access_token"], issued["refresh_token"]
        if new:
            session_id = _claims(self._token)["session_id"]
            self._shop.made(f"sessions/{session_id}", issued["user"]["id"], reply)

    def _taken(self, names: list[str]) -> str:
        place = self._dice.randrange(len(names))
        names[place], names[-1] = names[-1], names[place]
        return names.pop()

    def _new_name(self) -> str:
        self._made += 1
        return f"{self._email.partition('@')[0]}-{self._made}"

    def _value(self) -> str:
        """A text that no other write of this customer has."""
        self._lines += 1
        first, second = self._dice.choice(_WORDS), self._dice.choice(_WORDS)
        return f"The {first} of the {second}, line {self._lines}."


_Mix = tuple[tuple[Callable[[Customer, float], Awaitable[None]], int], ...]
_MIX: _Mix = (
    (Customer.put, 34),
    (Customer.remove, 6),
    (Customer.write_document, 16),
    (Customer.remove_document, 4),
    (Customer.read, 24),
    (Customer.ask, 8),
    (Customer.sign_in, 8),
)
"""What customers do, and how often, in percent."""
_OBJECT_MIX: _Mix = ((Customer.put_object, 6), (Customer.remove_object, 2))
"""What comes on top of those hundred where they store objects."""


def _claims(token: str) -> dict[str, Any]:
    """What a token says, unverified: the customer trusts the shop."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims
