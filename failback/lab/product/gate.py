"""Who may come in: API keys and access tokens, as Supabase's gateway checks them."""

import hmac

from aiohttp import web

from failback.lab.product.problems import ProblemError
from failback.lab.product.tokens import Caller, Tokens

_OPEN = frozenset(
    {
        "/auth/v1/health",
        "/auth/v1/.well-known/jwks.json",
        "/rest/v1/",
        "/storage/v1/health",
        "/functions/v1/hello",
    }
)
_GUARDED = ("/auth/", "/rest/", "/storage/", "/functions/")


class Gate:
    """Checks the `apikey` header and reads the bearer token.

    Args:
        tokens: reads access tokens.
        anon_key: the key that every client has.
        service_key: the operator's key.
    """

    def __init__(self, tokens: Tokens, *, anon_key: str, service_key: str) -> None:
        self._tokens = tokens
        self._anon_key = anon_key.encode()
        self._service_key = service_key.encode()

    def check_key(self, request: web.Request) -> None:
        """Refuse a request without a known key; health answers need none.

        The key may also come as the bearer token, as service clients send it.

        Raises:
            ProblemError: 401.
        """
        if request.path in _OPEN or not request.path.startswith(_GUARDED):
            return
        shown = request.headers.get("apikey") or _bearer(request)
        if not shown:
            raise ProblemError(401, "no_api_key", "No API key found in request")
        if not self.knows(shown):
            raise ProblemError(401, "bad_api_key", "Invalid API key")

    def knows(self, key: str) -> bool:
        """Whether this is one of the product's API keys."""
        return self._is(key, self._anon_key) or self._is(key, self._service_key)

    def caller(self, request: web.Request) -> Caller:
        """Who sends a request: a user, the operator, or nobody known (`anon`).

        Raises:
            ProblemError: 401, the token is expired or forged.
        """
        bearer = _bearer(request)
        shown = bearer or request.headers.get("apikey", "")
        if self._is(shown, self._service_key):
            return Caller(role="service_role")
        if not bearer or self._is(bearer, self._anon_key):
            return Caller(role="anon")
        return self._tokens.read(bearer)

    def user(self, request: web.Request) -> Caller:
        """The signed-in user who sends a request.

        Raises:
            ProblemError: 401, nobody is signed in.
        """
        caller = self.caller(request)
        if caller.user_id is None:
            raise ProblemError(401, "no_authorization", "This endpoint requires a signed-in user")
        return caller

    def service(self, request: web.Request) -> Caller:
        """The operator.

        Raises:
            ProblemError: 401 for nobody, 403 for a user.
        """
        caller = self.caller(request)
        if caller.is_service:
            return caller
        if caller.user_id is None:
            raise ProblemError(401, "no_authorization", "This endpoint requires the service key")
        raise ProblemError(403, "not_admin", "User not allowed")

    @staticmethod
    def _is(shown: str, key: bytes) -> bool:
        return hmac.compare_digest(shown.encode(), key)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
