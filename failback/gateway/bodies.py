"""Reads bodies that anybody may have written: bounded in size, time and depth while they arrive."""

import asyncio
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request

from failback.gateway.refusals import RefusedError
from failback.sections.gateway import LimitsConfig

JSON_TYPES = frozenset({"application/json"})


def demand_type(request: Request, accepted: Iterable[str] = JSON_TYPES) -> None:
    """Refuse another media type, and what is compressed."""
    told = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if told not in accepted and not (told.startswith("application/") and told.endswith("+json")):
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body is not said to be JSON.",
            "Send it with Content-Type: application/json.",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body is compressed.",
            "Send it without Content-Encoding.",
        )


async def read_body(request: Request, limits: LimitsConfig) -> bytes:
    """The whole body, given up as soon as it is longer or slower than allowed.

    Raises:
        RefusedError: 400 for an empty one, 408 for a slow one, 413 for one that is too long.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and len(told) < len(str(2**63)) and int(told) > limits.body_bytes:
        raise _too_long(limits)
    try:
        body = await asyncio.wait_for(_gathered(request, limits), limits.body_seconds)
    except TimeoutError as error:
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {limits.body_seconds:g} s.",
            "Send it again.",
            {"Connection": "close"},
        ) from error
    except ClientDisconnect as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The sender went away.") from error
    if not body.strip():
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body is empty.", "Send JSON.")
    return body


async def _gathered(request: Request, limits: LimitsConfig) -> bytes:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > limits.body_bytes:
            raise _too_long(limits)
    return bytes(parts)


def _too_long(limits: LimitsConfig) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is longer than {limits.body_bytes} bytes.",
        "Send fewer alerts at once (Alertmanager: max_alerts), or raise gateway.limits.body_bytes.",
        {"Connection": "close"},
    )


def parsed(body: bytes, limits: LimitsConfig) -> Any:
    """The JSON document of a body.

    Raises:
        RefusedError: 400 where it is no UTF-8, no JSON, or nested more deeply than allowed.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, f"The body is not UTF-8 at byte {error.start}.", "Send UTF-8."
        ) from error
    try:
        document = json.loads(text, parse_constant=_no_number)
        if "\\ud" in text.lower():
            # Half a surrogate pair is a text that nobody can write down again.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise _too_deep(limits) from error
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body is not JSON.", "Send JSON.") from error
    if _deeper(document, limits.depth):
        raise _too_deep(limits)
    return document


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _too_deep(limits: LimitsConfig) -> RefusedError:
    return RefusedError(
        HTTPStatus.BAD_REQUEST,
        f"The body is nested more than {limits.depth} levels deep.",
        "Send it flatter, or raise gateway.limits.depth.",
    )


def _deeper(document: Any, depth: int) -> bool:
    """Whether a document is nested more deeply, looked at level by level."""
    level = [document]
    for _ in range(depth + 1):
        level = [
            item
            for value in level
            for item in (
                value.values()
                if isinstance(value, dict)
                else value
                if isinstance(value, list)
                else ()
            )
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
