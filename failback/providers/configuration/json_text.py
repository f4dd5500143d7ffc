"""A JSON document as text: one value in it is changed, and every other character stays.

Places in it are named by JSON pointers (RFC 6901).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from failback.errors import SettingsError
from failback.providers.configuration.values import ABSENT, Absent, Value

_SPACE = re.compile(r"[ \t\n\r]*")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class _Member:
    """Where a member of an object, or an item of a list, stands."""

    name: str
    start: int
    value_start: int
    end: int


def parsed(text: str) -> Any:
    """The document.

    Raises:
        SettingsError: it is none, or names a member twice, so that readers may differ about it.
    """
    try:
        return json.loads(text, object_pairs_hook=_members_once)
    except ValueError as error:
        raise SettingsError(f"It is no JSON: {error}.", "Correct the document.") from error
    except RecursionError as error:
        raise SettingsError("It is nested too deeply.", "Correct the document.") from error


def read_value(document: Any, pointer: str) -> Value:
    """The value at a pointer; `ABSENT` where its parent has no such member.

    Raises:
        SettingsError: there is no such parent, or it is no object and has no such item.
    """
    found = document
    *path, last = _tokens(pointer) or [""]
    if not pointer:
        return document
    for depth, token in enumerate(path):
        found = _step(found, token)
        if found is ABSENT:
            at = "".join(f"/{_escaped(one)}" for one in path[: depth + 1])
            raise SettingsError(
                f"There is no {at} to hold {pointer}.", "Correct the pointer, or add it."
            )
    if not isinstance(found, dict | list):
        raise SettingsError(
            f"What should hold {pointer} is neither object nor list.", "Correct the pointer."
        )
    value = _step(found, last)
    if value is ABSENT and isinstance(found, list):
        raise SettingsError(f"The list has no item {pointer}.", "Correct the pointer.")
    return value


def changed_value(text: str, pointer: str, value: Value) -> str:
    """The text with one value set, added as its parent's last member, or taken out.

    Raises:
        SettingsError: as `read_value`, or an item of a list would have to be taken out.
    """
    read_value(parsed(text), pointer)
    begin = _after_space(text, 0)
    written = "" if isinstance(value, Absent) else json.dumps(value, ensure_ascii=False)
    if not pointer:
        return text[:begin] + written + text[_DECODER.raw_decode(text, begin)[1] :]
    *path, last = _tokens(pointer)
    for token in path:
        begin = next(one for one in _members(text, begin) if one.name == token).value_start
    members = list(_members(text, begin))
    at = next((index for index, one in enumerate(members) if one.name == last), None)
    if at is not None and written:
        return text[: members[at].value_start] + written + text[members[at].end :]
    if at is not None:
        if text[begin] == "[":
            raise SettingsError(
                f"{pointer} is an item of a list, which would move the others.",
                "Switch the list as a whole.",
            )
        return _without(text, members, at)
    if not written:
        return text
    return _with_added(text, begin, members, f"{json.dumps(last, ensure_ascii=False)}", written)


def merge_patch(changes: list[tuple[str, Value]]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396) that makes these changes; null takes a member out."""
    patch: dict[str, Any] = {}
    for pointer, value in changes:
        *path, last = _tokens(pointer)
        inner = patch
        for token in path:
            inner = inner.setdefault(token, {})
        inner[last] = None if isinstance(value, Absent) else value
    return patch


def crosses_list(document: Any, pointer: str) -> bool:
    """Whether a pointer leads through a list, which a merge patch cannot reach into."""
    found = document
    for token in _tokens(pointer):
        if isinstance(found, list):
            return True
        found = _step(found, token)
    return False


def _tokens(pointer: str) -> list[str]:
    return [
        one.replace("~1", "/").replace("~0", "~") for one in pointer.removeprefix("/").split("/")
    ]


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def _step(found: Any, token: str) -> Any:
    if isinstance(found, dict):
        return found.get(token, ABSENT)
    if isinstance(found, list) and _INDEX.fullmatch(token) and int(token) < len(found):
        return found[int(token)]
    return ABSENT


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = min(name for name in names if names.count(name) > 1)
        raise SettingsError(f"The member {twice[:100]!r} stands there twice.", "Leave one of them.")
    return found


def _members(text: str, begin: int) -> Iterator[_Member]:
    """What an object or list holds, of a text that is known to be JSON."""
    listed = text[begin] == "["
    position, index = _after_space(text, begin + 1), 0
    while text[position] not in "}]":
        start = value_start = position
        name = str(index)
        if not listed:
            name, colon = _DECODER.raw_decode(text, position)
            value_start = _after_space(text, _after_space(text, colon) + 1)
        _, end = _DECODER.raw_decode(text, value_start)
        yield _Member(name, start, value_start, end)
        index += 1
        position = _after_space(text, end)
        if text[position] == ",":
            position = _after_space(text, position + 1)


def _without(text: str, members: list[_Member], at: int) -> str:
    """A member goes with one comma and the space on its side."""
    member = members[at]
    if at + 1 < len(members):
        return text[: member.start] + text[members[at + 1].start :]
    if at:
        return text[: members[at - 1].end] + text[member.end :]
    return text[: member.start] + text[member.end :]


def _with_added(text: str, begin: int, members: list[_Member], name: str, value: str) -> str:
    """A member more, as the last of its object and written as the others are."""
    if not members:
        return f"{text[: begin + 1]}{name}: {value}{text[begin + 1 :]}"
    first, last = members[0], members[-1]
    space = text[begin + 1 : first.start]
    colon = text[_DECODER.raw_decode(text, last.start)[1] : last.value_start]
    return f"{text[: last.end]},{space}{name}{colon}{value}{text[last.end :]}"


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
