"""Keys that access tokens are signed with besides the shared secret, as a project's are."""

import json
from pathlib import Path
from typing import Any

import jwt

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "status"})
_TRUSTED = frozenset({"in_use", "standby", "previously_used"})


class SigningKeys:
    """The keys of one side: `{"keys": [{…a private JWK with `kid`…, "status": "in_use"}]}`.

    The file is read anew for every question, so that a key that is imported counts at once.

    Args:
        path: the file; while it is not there, there are no keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def public(self) -> list[dict[str, Any]]:
        """What anybody may see of those that are trusted; nothing of a symmetric one."""
        return [
            {**{name: value for name, value in key.items() if name not in _PRIVATE}, "use": "sig"}
            for key in self._trusted()
            if key["kty"] != "oct"
        ]

    def signing(self) -> jwt.PyJWK | None:
        """The key that new tokens are signed with; None: the shared secret signs them."""
        for key in self._trusted():
            if key.get("status") == "in_use":
                return jwt.PyJWK.from_dict(key)
        return None

    def verifying(self, kid: str) -> jwt.PyJWK | None:
        """The trusted key of this id."""
        for key in self._trusted():
            if key["kid"] == kid:
                return jwt.PyJWK.from_dict(key)
        return None

    def _trusted(self) -> list[dict[str, Any]]:
        try:
            keys = json.loads(self._path.read_text(encoding="utf-8"))["keys"]
        except FileNotFoundError:
            return []
        return [key for key in keys if key.get("status") in _TRUSTED]
