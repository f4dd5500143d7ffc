"""The functions part: a greeting, and a question answered from the user's own documents."""

import re
import time

from aiohttp import web

from failback.lab.product.body import json_object, text_field
from failback.lab.product.database import Database
from failback.lab.product.gate import Gate
from failback.lab.product.metrics import Metrics
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query

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
    """Handlers under `/functions/v1/`."""

    def __init__(self, database: Database, gate: Gate, metrics: Metrics) -> None:
        self._database = database
        self._gate = gate
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.get("/functions/v1/hello", self.hello),
            web.post("/functions/v1/hello", self.hello),
            web.post("/functions/v1/ai-query", self.ai_query),
            web.route("*", "/functions/v1/{name}", self.missing),
        ]

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
        that depends on the user's data being there.
        """
        self._metrics.ai_attempts.inc()
        caller = self._gate.user(request)
        asked = text_field(await json_object(request), "query")
        started = time.monotonic()
        words = [word for word in _WORD.findall(asked.lower()) if word not in _STOP]
        found = await self._database.rows(
            query("search"),
            {"owner": caller.user_id, "terms": " | ".join(words[:_MOST_TERMS])},
        )
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


def _best_sentence(text: str, words: set[str]) -> str:
    """The sentence with most of the words; the first of several."""
    sentences = _SENTENCE.split(text)
    return max(sentences, key=lambda one: len(words & set(_WORD.findall(one.lower()))))
