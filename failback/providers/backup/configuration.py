"""The configuration as a backup carries it: everything but secrets, and of those their names.

Changes when something else in a configuration must not be told.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, SecretStr

from failback.config import Estate
from failback.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_LEFT_OUT = "left out"
_SHORTEST = 4
"""Characters of a secret that is looked for elsewhere; a shorter one is part of any text."""

Place = tuple[str | int, ...]


def without_secrets(path: Path, estate: Estate) -> bytes:
    """A configuration file as YAML without its secrets.

    References such as `${NAME}` stay as they are; a secret that was written out is replaced, also
    where its value is repeated elsewhere in the file.

    Args:
        path: the file, as it was loaded.
        estate: what it was loaded to, which tells where secrets are.

    Raises:
        ConfigurationError: the file cannot be read any more.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read any more: {error}.") from error
    secrets = dict(_secrets(estate, ()))
    values = {value for secret in secrets.values() for value in _values(secret)}
    kept = _kept(document, (), frozenset(secrets), frozenset(values))
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).encode()


def _secrets(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every secret below a value, by where it stands in the file."""
    if isinstance(value, SecretStr):
        yield place, value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, (*place, str(getattr(key, "value", key))))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _secrets(item, (*place, index))


def _values(secret: str) -> Iterator[str]:
    """A secret, and the password in it where it is a connection string."""
    yield secret
    try:
        password = conninfo_to_dict(secret).get("password")
    except psycopg.ProgrammingError:
        return
    if password:
        yield str(password)
        yield quote(str(password), safe="")


def _kept(value: Any, place: Place, secret: frozenset[Place], values: frozenset[str]) -> Any:
    if place in secret:
        names = _REFERENCE.findall(str(value))
        return f"{_LEFT_OUT}: {', '.join(names)}" if names else _LEFT_OUT
    if isinstance(value, Mapping):
        return {
            str(key): _kept(item, (*place, str(key)), secret, values) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_kept(item, (*place, index), secret, values) for index, item in enumerate(value)]
    if isinstance(value, str) and any(len(one) >= _SHORTEST and one in value for one in values):
        return _LEFT_OUT
    return value
