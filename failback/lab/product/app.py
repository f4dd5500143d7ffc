"""Puts the product together: its parts, and what surrounds every request."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import psycopg_pool
from aiohttp import web
from prometheus_client import generate_latest

from failback.lab.product import problems
from failback.lab.product.auth import Auth
from failback.lab.product.auth_admin import AuthAdmin
from failback.lab.product.database import Database
from failback.lab.product.faulty import Faults, Handler
from failback.lab.product.forwarding import FunctionsRuntime
from failback.lab.product.functions import SEARCH_PATH, Functions
from failback.lab.product.gate import Gate
from failback.lab.product.metrics import Metrics, path_class
from failback.lab.product.problems import ProblemError
from failback.lab.product.refreshing import Refreshing
from failback.lab.product.rest import Rest
from failback.lab.product.s3 import S3Access
from failback.lab.product.signing_keys import SigningKeys
from failback.lab.product.storage import Storage
from failback.lab.product.stores import BucketStore, FolderStore
from failback.lab.product.tokens import Tokens
from failback.models.common import Side

SIDE_HEADER = "X-Lab-Side"
"""The header that says which side answered."""

_LOG = logging.getLogger(__name__)
_NOT_COUNTED = frozenset({"/health", "/metrics", "/_lab/faults", SEARCH_PATH})
"""What machines ask: counted, it would thin out the share of errors that customers see."""
_LARGEST_BODY = 16 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """What one product process is told when it starts."""

    side: Side
    dsn: str
    jwt_secret: str
    anon_key: str
    service_key: str
    files: Path
    bcrypt_cost: int = 4
    connections: int = 12
    jwt_keys: Path | None = None
    reuse_seconds: float = 10.0
    objects: S3Access | None = None
    """Where stored objects are kept; None keeps them as files."""
    functions_url: str | None = None
    """The runtime of this side's functions; None runs two of them here."""


class Product:
    """The application of one side."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._faults = Faults()
        self._database = Database(settings.dsn, self._metrics, size=settings.connections)
        keys = SigningKeys(settings.jwt_keys) if settings.jwt_keys else None
        tokens = Tokens(settings.jwt_secret, cost=settings.bcrypt_cost, keys=keys)
        refreshing = Refreshing(self._database, tokens, settings.reuse_seconds)
        self._gate = Gate(tokens, anon_key=settings.anon_key, service_key=settings.service_key)
        objects = settings.objects
        store = BucketStore(objects) if objects is not None else FolderStore(settings.files)
        self._storage = Storage(self._database, self._gate, store)
        runtime = FunctionsRuntime(settings.functions_url) if settings.functions_url else None
        self._functions = Functions(self._database, self._gate, self._metrics, runtime)
        self._parts = (
            Auth(
                self._database,
                tokens,
                refreshing,
                self._gate,
                metrics=self._metrics,
                faults=self._faults,
            ),
            AuthAdmin(self._database, tokens, self._gate),
            Rest(self._database, self._gate),
            self._functions,
            self._storage,
        )

    def application(self) -> web.Application:
        """The aiohttp application, with its database opened and closed around it."""
        app = web.Application(middlewares=[self._surround], client_max_size=_LARGEST_BODY)
        app.cleanup_ctx.append(self._with_database)
        app.on_response_prepare.append(self._say_side)
        app.add_routes(
            [
                web.get("/health", self.health),
                web.get("/metrics", self.metrics),
                web.get("/_lab/faults", self._faults.read),
                web.post("/_lab/faults", self._faults.change),
            ]
        )
        for part in self._parts:
            app.add_routes(part.routes())
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """200 when the database answers `SELECT 1`, 503 otherwise."""
        await self._database.row("SELECT 1")
        return web.json_response({"status": "ok", "side": self._settings.side.value})

    async def metrics(self, _request: web.Request) -> web.Response:
        """Every metric in Prometheus' text format."""
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _with_database(self, _app: web.Application) -> AsyncIterator[None]:
        self._settings.files.mkdir(parents=True, exist_ok=True)
        await self._database.open()
        yield
        await self._storage.close()
        await self._functions.close()
        await self._database.close()

    async def _say_side(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers[SIDE_HEADER] = self._settings.side.value

    @web.middleware
    async def _surround(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Measure a request, and give every failure its answer."""
        started = time.perf_counter()
        try:
            response = await self._answered(request, handler)
        except ProblemError as problem:
            response = problems.response(problem, request.path)
        if request.path in _NOT_COUNTED:
            return response
        area = path_class(request.path)
        self._metrics.requests.labels(str(response.status), request.method, area).inc()
        self._metrics.duration.labels(area).observe(time.perf_counter() - started)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._gate.check_key(request)
            return await self._faults.carry(request, handler)
        except ProblemError:
            raise
        except web.HTTPException as answer:
            raise ProblemError(answer.status, answer.reason, answer.text or answer.reason) from None
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            problem = problems.from_database(error)
            if problem.status == 500:  # noqa: PLR2004 - Internal Server Error
                _LOG.exception("%s %s failed", request.method, request.path)
            raise problem from error
        except Exception as error:
            _LOG.exception("%s %s failed", request.method, request.path)
            raise problems.from_database(error) from error
