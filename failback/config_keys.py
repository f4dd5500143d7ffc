"""Finds the keys of a configuration that nobody reads, at every depth, and the nearest known one.

Sections of the configuration hold payloads, which ignore what they do not know so that an older
worker can read a newer payload. A file that a person wrote is another matter: there, a key that
is ignored is a wish that was dropped in silence.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def unknown_keys(document: Mapping[Any, Any], model: type[BaseModel]) -> list[str]:
    """One clause per unknown key, in the order of the document.

    Args:
        document: a parsed configuration, not validated yet.
        model: what it describes.

    Returns:
        Clauses such as `unknown key dns.zoen (did you mean zone?)`.
    """
    return list(_in_model(document, model, ""))


def unknown(name: str, known: Sequence[str], where: str = "") -> str:
    """The clause about one unknown key.

    Args:
        name: the key as it was written.
        known: the keys that could have been meant.
        where: the section that holds it, with dots; empty at the top.
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"unknown key {_below(where, name)}{hint}"


def nearest_of(name: str, known: Sequence[str]) -> str:
    """` (did you mean …?)`, or nothing where there is nothing to mean. Case does not count."""
    found = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(found), n=1, cutoff=0.0)
    return f" (did you mean {found[near[0]]}?)" if near else ""


def _in_model(document: Any, model: type[BaseModel], where: str) -> Iterator[str]:
    if not isinstance(document, Mapping):
        return
    for key, value in document.items():
        field = model.model_fields.get(str(key))
        if field is None:
            yield unknown(str(key), list(model.model_fields), where)
        else:
            yield from _in_value(value, field.annotation, _below(where, key))


def _in_value(value: Any, annotation: Any, where: str) -> Iterator[str]:
    """Follow an annotation: a model, a mapping, a list or tuple, or one of these `| None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _in_model(value, annotation, where)
        return
    arguments = [one for one in get_args(annotation) if one not in (Ellipsis, type(None))]
    if get_origin(annotation) is dict:
        key_type, item_type = arguments
        yield from _in_mapping(value, key_type, item_type, where)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            for argument in arguments:
                yield from _in_value(item, argument, _below(where, index))
    else:
        for argument in arguments:
            yield from _in_value(value, argument, where)


def _in_mapping(value: Any, key_type: Any, item_type: Any, where: str) -> Iterator[str]:
    """A mapping's items; its keys, too, where only certain ones exist."""
    if not isinstance(value, Mapping):
        return
    named = isinstance(key_type, type) and issubclass(key_type, Enum)
    known = [str(one.value) for one in key_type] if named else []
    for key, item in value.items():
        if named and key not in known:
            yield unknown(str(key), known, where)
        else:
            yield from _in_value(item, item_type, _below(where, key))


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
