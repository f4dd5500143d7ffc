"""Looks at the running service over HTTP and Postgres, from a customer's place."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx

from failback.errors import ConfigurationError
from failback.models.traffic import CheckResult
from failback.providers.checks.database import DatabaseLook
from failback.providers.checks.journey import Journey, Keys
from failback.providers.checks.judging import CheckFailedError, Judge
from failback.sections.checks import ChecksConfig

_SAMPLES = 3
"""How many requests the response time is the median of."""
_LONG = 2
"""How many times a single check's deadline those have that make several requests."""

Look = Callable[[], Awaitable[str]]


class HttpServiceChecks:
    """Implements `ServiceChecks`.

    Args:
        config: the product's addresses and keys, and what is expected of it.
        probe_seconds: a probe's deadline; longer than requests may be held, or held requests
            would count as failed ones. Not given, a check's deadline.

    Raises:
        ConfigurationError: the address is no URL, the connection string is none, or the
            journey could not remove its test user.
    """

    def __init__(self, config: ChecksConfig, probe_seconds: float | None = None) -> None:
        self._config = config
        self._probe_seconds = probe_seconds or config.timeout_seconds
        anon = config.anon_key.get_secret_value() if config.anon_key else ""
        service = config.service_key.get_secret_value() if config.service_key else ""
        dsn = config.database_dsn.get_secret_value() if config.database_dsn else ""
        self._anonymous = _headers(anon)
        self._database = DatabaseLook(dsn) if dsn else None
        self._http = _client(config.api_url)
        self._journey = None
        if config.journey is not None:
            if not service:
                raise ConfigurationError(
                    "checks.journey makes a test user that only checks.service_key can remove.",
                    "Set checks.service_key, or switch the journey off with `journey: null`.",
                )
            keys = Keys(self._anonymous, _headers(service))
            self._journey = Journey(
                self._http, config.journey, keys, config.timeout_seconds * _LONG
            )
        database_secrets = self._database.secrets if self._database else ()
        self._judge = Judge((anon, service, *database_secrets))

    async def names(self) -> tuple[str, ...]:
        """See `ServiceChecks.names`; what is not configured is not checked."""
        return tuple(name for name, _, _ in self._looks())

    async def check(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.check`. All run at the same time."""
        return await self._results(self._looks())

    async def probe(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.probe`. All run at the same time."""
        seconds = self._probe_seconds
        looks: list[tuple[str, float, Look]] = [
            ("auth", seconds, lambda: self._get(self._config.auth_path)),
            ("api", seconds, lambda: self._get(self._config.health_path)),
        ]
        if self._database is not None:
            looks.insert(0, ("database", seconds, self._database.again))
        return await self._results(looks)

    async def aclose(self) -> None:
        """See `ServiceChecks.aclose`."""
        await self._http.aclose()
        if self._database is not None:
            await self._database.aclose()

    def _looks(self) -> list[tuple[str, float, Look]]:
        seconds = self._config.timeout_seconds
        looks: list[tuple[str, float, Look]] = [
            ("auth", seconds, lambda: self._get(self._config.auth_path)),
            ("response_time", seconds * _LONG, self._response_time),
        ]
        if self._database is not None:
            looks.insert(0, ("database", seconds, self._database.anew))
        if self._journey is not None:
            # It keeps its own deadlines, to tell which step took too long: one for its steps
            # and one for the removal; this one only catches what they miss.
            looks.append(("journey", 2 * seconds * _LONG + 1, self._journey.go))
        return looks

    async def _results(self, looks: list[tuple[str, float, Look]]) -> tuple[CheckResult, ...]:
        return tuple(await asyncio.gather(*(self._judge.result(*look) for look in looks)))

    async def _get(self, path: str) -> str:
        answer = await self._http.get(path, headers=self._anonymous)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise CheckFailedError(f"GET {path} answered HTTP {answer.status_code}")
        return f"GET {path} answered HTTP {answer.status_code}"

    async def _response_time(self) -> str:
        times = []
        for _ in range(_SAMPLES):
            began = time.perf_counter()
            await self._get(self._config.health_path)
            times.append((time.perf_counter() - began) * 1000)
        median, limit = statistics.median(times), self._config.response_time_ms
        if median > limit:
            raise CheckFailedError(f"median {median:.0f} ms is over the limit of {limit:g} ms")
        return f"median {median:.0f} ms of {_SAMPLES} requests, limit {limit:g} ms"


def _headers(key: str) -> dict[str, str]:
    return {"apikey": key, "Authorization": f"Bearer {key}"} if key else {}


def _client(api_url: str) -> httpx.AsyncClient:
    url = httpx.URL(api_url) if _is_url(api_url) else None
    if url is None:
        raise ConfigurationError(
            "checks.api_url is no http or https address.", "Write https://api.example.com."
        )
    return httpx.AsyncClient(
        base_url=url,
        # Each check has its deadline as a whole; a request must not wait for another's end.
        timeout=None,  # noqa: S113 -- see above
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        verify=httpx.create_ssl_context(),
        # A proxy that the environment names is no customer's way.
        trust_env=False,
    )


def _is_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)
