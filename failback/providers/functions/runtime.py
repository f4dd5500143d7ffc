"""Functions of our own Deno runtimes, through the admin API that docs/functions.md describes."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from failback.errors import (
    CredentialsError,
    MissingRightError,
    PlatformMissingError,
    PlatformRefusedError,
    UnreachableError,
)
from failback.models.common import Side
from failback.providers.functions.platform import DeployedFunction
from failback.providers.lazy_http import LazyHttp
from failback.sections.functions import FunctionsSideConfig

_TRIES = 3
_Answer = TypeVar("_Answer", bound=BaseModel)


class _Function(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    enabled: bool
    digest: str = ""
    version: str = ""

    def deployed(self) -> DeployedFunction:
        return DeployedFunction(self.name, self.enabled, self.digest, self.version)


class _Functions(BaseModel):
    functions: tuple[_Function, ...]


class _Secret(BaseModel):
    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Secrets(BaseModel):
    secrets: tuple[_Secret, ...]


class RuntimeFunctions:
    """Implements `FunctionPlatform` over a runtime's admin API.

    Args:
        side: whose runtime it is.
        config: its addresses and its token.
        timeout_seconds: for one request; two more follow one that was not answered.
        pause_seconds: before the second try; doubled before the third.
        transport: what really sends; None is the network.
    """

    def __init__(
        self,
        side: Side,
        config: FunctionsSideConfig,
        timeout_seconds: float,
        pause_seconds: float = 0.2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._side = side
        self._config = config
        self._timeout = timeout_seconds
        self._pause = pause_seconds
        self._transport = transport
        self._http = LazyHttp(self._opened)

    @property
    def place(self) -> str:
        """See `FunctionPlatform.place`."""
        return f"the {self._side.value}'s runtime at {self._config.admin_url}"

    def how_to_deploy(self, name: str) -> str:
        """See `FunctionPlatform.how_to_deploy`."""
        return f"Deploy {name} to {self.place}."

    def how_to_set_secrets(self) -> str:
        """See `FunctionPlatform.how_to_set_secrets`."""
        return f"Give {self.place} the other side's values and start it again."

    async def deployed(self) -> Mapping[str, DeployedFunction]:
        """See `FunctionPlatform.deployed`."""
        answer = await self._answer("GET", "/functions")
        listed = _read(_Functions, answer, self.place).functions
        return {function.name: function.deployed() for function in listed}

    async def secrets(self) -> Mapping[str, str]:
        """See `FunctionPlatform.secrets`."""
        answer = await self._answer("GET", "/secrets")
        return {
            secret.name: secret.sha256 for secret in _read(_Secrets, answer, self.place).secrets
        }

    async def enable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.enable`."""
        return await self._switched(name, enabled=True)

    async def disable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.disable`."""
        return await self._switched(name, enabled=False)

    async def aclose(self) -> None:
        """See `FunctionPlatform.aclose`."""
        await self._http.aclose()

    async def _switched(self, name: str, *, enabled: bool) -> DeployedFunction:
        path = f"/functions/{quote(name, safe='')}"
        await self._answer("PUT", f"{path}/enabled", json={"enabled": enabled})
        # Done is what was read back, not what was answered to the order.
        return _read(_Function, await self._answer("GET", path), self.place).deployed()

    async def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._pause * 2 ** (attempt - 1))
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._http.client.request(
                        method, f"{self._config.admin_url}{path}", **options
                    )
            except TimeoutError:
                problem = f"no answer within {self._timeout:g} s"
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if answer.is_success:
                    return answer
                problem = f"HTTP {answer.status_code}"
                if (
                    not answer.is_server_error
                    and answer.status_code != httpx.codes.TOO_MANY_REQUESTS
                ):
                    raise self._refusal(answer, f"{method} {path}")
        raise UnreachableError(
            f"{self.place} does not answer {method} {path}: {problem}.",
            f"Is it running, and is functions.{self._side.value}.admin_url right?",
        )

    def _refusal(self, answer: httpx.Response, what: str) -> Exception:
        refused = f"{self.place} refused {what}: HTTP {answer.status_code}."
        match answer.status_code:
            case httpx.codes.UNAUTHORIZED:
                return CredentialsError(
                    refused, f"Set functions.{self._side.value}.admin_token to the runtime's token."
                )
            case httpx.codes.FORBIDDEN:
                return MissingRightError(refused, "Take a token that may switch functions.")
            case httpx.codes.NOT_FOUND:
                return PlatformMissingError(refused, "Is the function deployed there?")
            case _:
                return PlatformRefusedError(refused)

    def _opened(self) -> httpx.AsyncClient:
        token = self._config.admin_token.get_secret_value() if self._config.admin_token else ""
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=self._timeout,
            transport=self._transport,
        )


def _read(model: type[_Answer], answer: httpx.Response, place: str) -> _Answer:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise PlatformRefusedError(
            f"{place} answered in a form that is not known.",
            "docs/functions.md describes what an admin API answers.",
        ) from error
