"""Answers other than success, and bodies that are read, as the management API has them."""

from typing import TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

_Body = TypeVar("_Body")


class RefusalError(Exception):
    """An answer other than success.

    Args:
        status: of HTTP.
        message: one sentence for people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refused(refusal: RefusalError) -> web.Response:
    """The refusal as the API writes it."""
    return web.json_response({"message": str(refusal)}, status=refusal.status)


async def body_of(request: web.Request, shape: TypeAdapter[_Body]) -> _Body:
    """A request's body in a shape.

    Raises:
        RefusalError: 400, it has another one; the text says where.
    """
    try:
        return shape.validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise RefusalError(400, f"{place}: {first['msg']}") from error
