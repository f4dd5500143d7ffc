"""Reading request bodies: JSON objects, with a problem for anything else."""

from typing import Any

from aiohttp import web

from failback.lab.product.problems import ProblemError


async def json_object(request: web.Request) -> dict[str, Any]:
    """A request's body as an object; an empty body is an empty object.

    Raises:
        ProblemError: 400, the body is no JSON object.
    """
    if not request.body_exists:
        return {}
    try:
        body = await request.json()
    except ValueError as error:
        raise ProblemError(400, "bad_json", "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ProblemError(400, "bad_json", "The body is not a JSON object.")
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    """A field that must be a text that is not empty.

    Raises:
        ProblemError: 400, it is missing or something else.
    """
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ProblemError(400, "validation_failed", f"{name} is required")
    return value
