"""docs/configuration.md names every key of the configuration, and no other."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from failback.config import Estate

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = {
    match.group(1): match.group(0)
    for match in re.finditer(r"^\| `([^`]+)` \|.*$", PAGE, re.MULTILINE)
}
PLACEHOLDERS = {
    "routes": "<service>",
    "levels": "<level>",
    "notifications": "<name>",
    "places": "<place>",
    "activities": "<activity>",
    "public": "<kind>",
    "rules": "<rule>",
    "queries": "<metric>",
}


def model_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key as the page writes it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path, field
        annotation = field.annotation
        if typing.get_origin(annotation) is dict:
            annotation = typing.get_args(annotation)[1]
            path = f"{path}.{PLACEHOLDERS.get(name, '<key>')}"
        if typing.get_origin(annotation) is tuple:
            path = f"{path}[]"
        inner = model_of(annotation)
        if inner is not None:
            yield from keys(inner, f"{path}.")


KEYS = dict(keys(Estate))


def test_page_then_it_names_every_key_and_no_other() -> None:
    assert set(ROWS) == set(KEYS)


@pytest.mark.parametrize("key", [key for key, field in KEYS.items() if not field.is_required()])
def test_key_with_a_plain_default_then_its_row_says_which(key: str) -> None:
    default = KEYS[key].default
    if isinstance(default, bool):
        shown = f"`{str(default).lower()}`"
    elif isinstance(default, int | float) or (isinstance(default, str) and default):
        shown = f"`{default}`"
    else:
        return
    assert shown in ROWS[key], ROWS[key]


def test_example_then_it_is_a_valid_estate() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    estate = Estate.model_validate(yaml.safe_load(example.group(1)))
    assert estate.plan(2).approval.quorum == 1
