"""What the bridge asks of one side's auth, whatever server answers."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from failback.models.common import Side

_OK = range(200, 300)
_KNOWN_BUT_NOT_HERE = frozenset({"user_not_found", "session_not_found"})
_UNTRUSTED, _UNTRUSTED_TEXT = "bad_jwt", "invalid jwt"
_ALREADY_USED = "refresh_token_already_used"


@dataclass(frozen=True)
class Answer:
    """What an auth server said.

    Args:
        status: of HTTP.
        body: an answer's object; empty where it was none.
    """

    status: int
    body: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def fine(self) -> bool:
        """Whether it did what was asked."""
        return self.status in _OK

    @property
    def code(self) -> str:
        """What is wrong, in the server's word, such as `bad_jwt`; empty where it gives none."""
        code = self.body.get("error_code") or self.body.get("error") or self.body.get("code")
        return code if isinstance(code, str) else ""

    @property
    def said(self) -> str:
        """Status and code, for people: messages of a server may repeat what was sent."""
        return f"HTTP {self.status}{f' {self.code[:60]}' if self.code else ''}"

    @property
    def trusts(self) -> bool | None:
        """Whether the token that was shown is signed by a key that the server trusts.

        A server checks the signature before it looks for the user and the session, so that not
        finding them is a yes. None: the answer does not say, as a gateway's own does not.
        """
        if self.fine or self.code in _KNOWN_BUT_NOT_HERE:
            return True
        if self.code == _UNTRUSTED or _UNTRUSTED_TEXT in self.text("msg").lower():
            return False
        return None

    @property
    def used_before(self) -> bool:
        """Whether a refresh token was refused because it had been used."""
        # Servers before 2024 say it in a sentence alone.
        said = self.text("error_description") or self.text("msg")
        return self.code == _ALREADY_USED or said.lower().endswith("already used")

    def text(self, name: str) -> str:
        """A text of the body; empty where it has none."""
        value = self.body.get(name)
        return value if isinstance(value, str) else ""


class AuthSide(Protocol):
    """One side's auth. Each raises UnreachableError where nothing answers."""

    side: Side

    async def health(self) -> Answer:
        """Whether it works."""
        ...

    async def keys(self) -> tuple[dict[str, Any], ...]:
        """The public keys that it trusts (RFC 7517); none where only a secret signs."""
        ...

    async def user(self, token: str) -> Answer:
        """Whose access token this is. Writes nothing."""
        ...

    async def create_user(self, email: str, password: str) -> Answer:
        """Make a user whose address counts as confirmed."""
        ...

    async def sign_in(self, email: str, password: str) -> Answer:
        """Open a session."""
        ...

    async def refresh(self, token: str) -> Answer:
        """Swap a refresh token."""
        ...

    async def delete_user(self, user_id: str) -> Answer:
        """Delete a user for good."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
