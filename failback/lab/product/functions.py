"""The functions part: a greeting, and a question answered from the user's own documents."""

import re
import time
from typing import Any

from aiohttp import web

from failback.lab.product.body import json_object, text_field
from failback.lab.product.database import Database
from failback.lab.product.forwarding import FunctionsRuntime
from failback.lab.product.gate import Gate
from failback.lab.product.metrics import Metrics
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query

SEARCH_PATH = "/_lab/search"
_WORD = re.compile(r"\w{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_STOP = frozenset(
    re.findall(
        r"\w+",
        "the and for are was were what which who how why when where does did can with from this "
        "that about your our you have has had not but all any tell show give",
    )
)
_MOST_TERMS = 20


class Functions:
    """Handlers under `/functions/v1/`: the side's runtime answers, where it has one.

    Args:
        database: where documents are.
        gate: tells who asks.
        metrics: count questions and answers.
        runtime: runs the functions; None runs the two of this module.
    """

    def __init__(
        self,
        database: Database,
        gate: Gate,
        metrics: Metrics,
        runtime: FunctionsRuntime | None = None,
    ) -> None:
        self._database = database
        self._gate = gate
        self._metrics = metrics
        self._runtime = runtime

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        if self._runtime is not None:
            return [
                web.route("*", "/functions/v1/{name}{rest:(/.*)?}", self.forward),
                web.post(SEARCH_PATH, self.search),
            ]
        return [
            web.get("/functions/v1/hello", self.hello),
            web.post("/functions/v1/hello", self.hello),
            web.post("/functions/v1/ai-query", self.ai_query),
            web.route("*", "/functions/v1/{name}", self.missing),
        ]

    async def close(self) -> None:
        """Give back connections."""
        if self._runtime is not None:
            await self._runtime.close()

    async def forward(self, request: web.Request) -> web.Response:
        """Pass a request on to the runtime."""
        if self._runtime is None:
            return await self.missing(request)
        asks = request.match_info["name"] == "ai-query"
        if asks:
            self._metrics.ai_attempts.inc()
        answer = await self._runtime.answer(request)
        if asks and answer.status == web.HTTPOk.status_code:
            self._metrics.ai_success.inc()
        return answer

    async def search(self, request: web.Request) -> web.Response:
        """What the runtime's `ai-query` asks: `{"terms": […]}` in its caller's documents.

        The function itself is known by the product's API key, which is one of its secrets. Its
        caller was counted and struck by faults already, so that this is neither.
        """
        if not self._gate.knows(request.headers.get("apikey", "")):
            raise ProblemError(401, "bad_api_key", "Invalid API key")
        terms = (await json_object(request)).get("terms")
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise ProblemError(400, "validation_failed", "terms is a list of words")
        words = [word for term in terms for word in _WORD.findall(term)]
        found = await self._found(request, words)
        return web.json_response(
            [{"id": row[0], "title": row[1], "body": row[2], "rank": row[3]} for row in found]
        )

    async def hello(self, request: web.Request) -> web.Response:
        """`{"message": "Hello NAME!"}`, as the first function of every project says."""
        name = (await json_object(request)).get("name") or "Functions"
        return web.json_response({"message": f"Hello {name}!"})

    async def missing(self, _request: web.Request) -> web.Response:
        """404 for every other function."""
        raise ProblemError(404, "NOT_FOUND", "Requested function was not found")

    async def ai_query(self, request: web.Request) -> web.Response:
        """Answers `{"query": …}` with the sentence of the user's documents that fits best.

        No language model is behind it: a ranked text search in Postgres, which is the part
        that depends on the user's data being there. The runtime's function of this name does the
        same.
        """
        self._metrics.ai_attempts.inc()
        self._gate.user(request)
        asked = text_field(await json_object(request), "query")
        started = time.monotonic()
        words = [word for word in _WORD.findall(asked.lower()) if word not in _STOP]
        found = await self._found(request, words)
        answer = "Nothing in your documents answers this."
        if found:
            answer = _best_sentence(f"{found[0][1]}. {found[0][2]}", set(words))
        self._metrics.ai_success.inc()
        return web.json_response(
            {
                "answer": answer,
                "sources": [
                    {"id": row[0], "title": row[1], "rank": round(row[3], 4)} for row in found
                ],
                "model": "lab-text-search",
                "milliseconds": round((time.monotonic() - started) * 1000, 1),
            }
        )

    async def _found(self, request: web.Request, words: list[str]) -> list[tuple[Any, ...]]:
        """The caller's documents with these words; the operator's key sees everybody's."""
        caller = self._gate.caller(request)
        owner = None if caller.is_service else self._gate.user(request).user_id
        terms = " | ".join(words[:_MOST_TERMS])
        return await self._database.rows(query("search"), {"owner": owner, "terms": terms})


def _best_sentence(text: str, words: set[str]) -> str:
    """The sentence with most of the words; the first of several."""
    sentences = _SENTENCE.split(text)
    return max(sentences, key=lambda one: len(words & set(_WORD.findall(one.lower()))))
