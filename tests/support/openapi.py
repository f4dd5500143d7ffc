"""Holds what goes over the wire to a published API description, with openapi-core.

description = described("supabase-management-api.json")      # skips where it is missing
watch = Watch(description)
client = httpx.AsyncClient(transport=WatchedTransport(httpx.AsyncHTTPTransport(), watch))
app = web.Application(middlewares=[watched(watch)])          # or on the server's side
...
watch.hold()                                                 # fails, and names each violation
"""

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.finders import APICallPathFinder
from werkzeug.datastructures import Headers, ImmutableMultiDict

DESCRIPTIONS = Path(__file__).resolve().parents[3] / "shared" / "specs"
_NO_CONTENT = "application/octet-stream"


@dataclass(frozen=True)
class Description:
    """A published description, ready to be asked.

    Attributes:
        api: openapi-core's reading of it.
        prefix: the path of its first server, which stands before every path of it.
    """

    api: OpenAPI
    prefix: str


@dataclass
class Watch:
    """What was seen, and what of it the description does not allow.

    Attributes:
        description: what every request and answer is held to.
        unlisted: statuses that the API answers and its description leaves out, such as 404 of a
            framework; such an answer is held to nothing. Everything else unlisted is a violation.
        undescribed: `METHOD path`, with the description's placeholders, of answers whose content
            the description is known to describe wrongly.
        refused: whether requests that break the description are expected, as from a test of
            refusals; answers are held to it all the same.
    """

    description: Description
    unlisted: frozenset[int] = frozenset()
    undescribed: frozenset[str] = frozenset()
    refused: bool = False
    violations: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """`METHOD path status`, with the description's placeholders, of every exchange that holds."""

    def exchange(self, asked: "_Request", answered: "_Response") -> None:
        """Hold one request and its answer to the description."""
        found = len(self.violations)
        route = f"{asked.method.upper()} {self._route(asked)}"
        if not self.refused:
            self._hold(f"request {route}", lambda: self.description.api.validate_request(asked))
        status = answered.status_code
        if status not in self.unlisted and route not in self.undescribed:
            self._hold(
                f"answer {status} of {route}",
                lambda: self.description.api.validate_response(asked, answered),
            )
        if len(self.violations) == found:
            self.seen.add(f"{route} {status}")

    def hold(self) -> None:
        """Fail the test where anything broke the description, or where nothing was seen."""
        assert self.violations == []
        assert self.seen, "nothing went over the wire: nothing was held to the description"

    def _hold(self, what: str, check: Any) -> None:
        try:
            check()
        except OpenAPIError as error:
            reasons = [each.message for each in getattr(error.__cause__, "schema_errors", ())]
            self.violations.append(f"{what}: {'; '.join(reasons) or error}")

    def _route(self, asked: "_Request") -> str:
        """The path as the description writes it, without its server's prefix."""
        finder = APICallPathFinder(self.description.api.spec)
        try:
            found = finder.find(asked.method, f"{asked.host_url}{asked.path}")
        except OpenAPIError:
            return asked.path
        return str(found.path_result.pattern)


@functools.cache
def described(name: str) -> Description:
    """A description of `../shared/specs`; skips the test where that is missing."""
    file = DESCRIPTIONS / name
    if not file.is_file():
        pytest.skip(f"the published API description {name} is not beside this repository")
    text = file.read_text(encoding="utf-8")
    return read(json.loads(text) if file.suffix == ".json" else yaml.safe_load(text))


def read(document: Any) -> Description:
    """A description that is at hand, such as our own gateway's."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    document = _repaired(document, schemes)
    prefix = httpx.URL(document["servers"][0]["url"]).path if document.get("servers") else ""
    # Requests come to a loopback address: only the path of a server is held to.
    document["servers"] = [{"url": prefix or "/"}]
    config = Config(
        spec_validator_cls=None,
        extra_media_type_deserializers={"application/problem+json": json.loads},
    )
    return Description(OpenAPI.from_dict(document, config=config), prefix)


class WatchedTransport(httpx.AsyncBaseTransport):
    """Passes requests of an httpx client on, and shows both halves to a watch.

    Args:
        inner: what really sends, such as `httpx.AsyncHTTPTransport()`.
        watch: keeps what breaks the description.
        only: paths that do not begin so are no part of the API, and pass unseen.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, watch: Watch, only: str = "/") -> None:
        self._inner = inner
        self._watch = watch
        self._only = only

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        if request.url.path.startswith(self._only):
            asked = _Request(request.method, str(request.url), request.headers.multi_items(), body)
            self._watch.exchange(asked, _Response(answer.status_code, answer.headers, content))
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


def watched(watch: Watch, only: str = "/") -> Any:
    """A middleware of aiohttp that shows every request and answer to a watch."""

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            response = answer
        if request.path.startswith(only):
            assert isinstance(response, web.Response), "only whole answers can be held"
            content = response.body
            data = content if isinstance(content, bytes) else b""
            headers = dict(response.headers) | {"Content-Type": response.content_type}
            asked = _Request(request.method, str(request.url), request.headers.items(), body)
            watch.exchange(asked, _Response(response.status, headers, data))
        return response

    return middleware


@contextmanager
def held(watch: Watch) -> Iterator[Watch]:
    """A watch over a block that has to end without a violation."""
    yield watch
    watch.hold()


class _Request:
    """A request as openapi-core wants to see it."""

    def __init__(self, method: str, url: str, headers: Any, body: bytes) -> None:
        parts = httpx.URL(url)
        self.method = method.lower()
        self.host_url = f"{parts.scheme}://{parts.netloc.decode()}"
        self.path = parts.path
        self.body = body or None
        listed = Headers(list(headers))
        self.content_type = listed.get("Content-Type", _NO_CONTENT)
        self.parameters = RequestParameters(
            path={},
            query=ImmutableMultiDict(parts.params.multi_items()),
            header=listed,
            cookie=ImmutableMultiDict(),
        )


class _Response:
    """An answer as openapi-core wants to see it."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status_code = status
        self.headers = Headers(dict(headers))
        self.content_type = self.headers.get("Content-Type", _NO_CONTENT)
        self.data = data


def _repaired(node: Any, schemes: Mapping[str, Any]) -> Any:
    """The document without what no tool can check.

    An alternative of `security` that names no scheme of the document would let everybody in. A
    `discriminator` over inline schemas points to nothing; each of them names its kind itself.
    """
    if isinstance(node, list):
        return [_repaired(item, schemes) for item in node]
    if not isinstance(node, dict):
        return node
    # YAML reads the statuses of answers as numbers.
    made = {str(key): _repaired(value, schemes) for key, value in node.items()}
    if "discriminator" in made and not any("$ref" in one for one in made.get("oneOf", ())):
        del made["discriminator"]
    if isinstance(made.get("security"), list):
        known = [one for one in made["security"] if set(one) <= set(schemes)]
        if known:
            made["security"] = known
    return made
