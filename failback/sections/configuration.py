"""Which values differ between the sides, and where they live."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from failback.models.common import Side
from failback.sections.base import Section
from failback.sections.storage import StorageEndpointConfig

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLATFORM_PREFIX = "SUPABASE_"


class S3ObjectConfig(StorageEndpointConfig):
    """An object that holds values: a JSON document, or one value as a whole."""

    bucket: str = Field(min_length=1)
    object: str = Field(min_length=1)
    """Its key."""


class HttpDocumentConfig(Section):
    """A JSON document behind an address: GET reads it, PUT or PATCH changes it."""

    url: SecretStr
    method: Literal["put", "patch"] = "patch"
    """PATCH sends what changes as a JSON merge patch (RFC 7396); PUT the whole document."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    content_type: str = "application/json"
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Of one of three tries."""

    @model_validator(mode="after")
    def _url_is_http(self) -> Self:
        if not self.url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("url begins with http:// or https://")
        return self


class PlaceConfig(Section):
    """Where values live: one of these kinds."""

    env_file: Path | None = None
    json_file: Path | None = None
    s3: S3ObjectConfig | None = None
    http: HttpDocumentConfig | None = None
    supabase_secrets: bool = False
    """The secrets that the functions of the estate's project are given; see `supabase`."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set) != 1 or not self.kind:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"a place is one of {kinds}")
        return self

    @property
    def kind(self) -> str:
        """The name of the field that says where it is."""
        return next((name for name in type(self).model_fields if getattr(self, name)), "")

    @property
    def named(self) -> bool:
        """Whether values have plain names there, rather than pointers into a document."""
        return self.env_file is not None or self.supabase_secrets


class KeyConfig(Section):
    """One value that differs between the sides."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")
    """What reports call it."""
    group: str = Field(default="settings", pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    """What it belongs to, such as `auth` for the frontend's auth configuration."""
    place: str
    """Of `configuration.places`."""
    key: str = ""
    """The variable's or secret's name, or a JSON pointer; empty: all of the file or object."""
    source: SecretStr | None
    """Its value on the source; null: it is not there."""
    target: SecretStr | None
    form: Literal["text", "json"] = "text"
    """Whether the values are text, or JSON such as `true`, `5432` or `["a"]`."""
    force: bool = False
    """Overwrite it where it has neither value."""

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        for side in Side:
            value = self.on(side)
            if value is None:
                continue
            if "\0" in value:
                raise ValueError(f"{side.value} holds a NUL character")
            if self.form == "json":
                try:
                    json.loads(value)
                except ValueError as error:
                    # Its own words may quote the value.
                    raise ValueError(f"{side.value} is no JSON, as form says") from error.__cause__
        if self.source is None and self.target is None:
            raise ValueError("source and target are both null: there is nothing to switch")
        return self

    def on(self, side: Side) -> str | None:
        """The value of one side as the configuration writes it."""
        value = self.source if side is Side.SOURCE else self.target
        return None if value is None else value.get_secret_value()


class ConfigurationSwitchConfig(Section):
    """Values that are given back their source's value, and where each lives."""

    places: dict[str, PlaceConfig] = Field(min_length=1)
    keys: tuple[KeyConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _keys_fit_their_places(self) -> Self:
        names = [key.name for key in self.keys]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"the key {min(twice)} is named twice")
        for key in self.keys:
            place = self.places.get(key.place)
            if place is None:
                known = ", ".join(sorted(self.places))
                raise ValueError(f"{key.name}: no place is called {key.place!r}; known: {known}")
            for problem in _problems(key, place):
                raise ValueError(f"{key.name}: {problem}")
        for one in self.keys:
            for other in self.keys:
                if one is not other and one.place == other.place and _within(one.key, other.key):
                    raise ValueError(f"{one.name} and {other.name} are the same value, or in it")
        return self

    def of_place(self, place: str) -> tuple[KeyConfig, ...]:
        """The keys that live in one place."""
        return tuple(key for key in self.keys if key.place == place)


def _problems(key: KeyConfig, place: PlaceConfig) -> Iterator[str]:
    if place.named:
        if key.form == "json":
            yield f"values of {place.kind} are text"
        if not _VARIABLE.fullmatch(key.key):
            yield f"key {key.key!r} is no name of a variable"
        if place.supabase_secrets and key.key.startswith(_PLATFORM_PREFIX):
            yield f"the platform keeps names with {_PLATFORM_PREFIX} for itself"
        return
    if key.key and not key.key.startswith("/"):
        yield f"key {key.key!r} is no JSON pointer: write /{key.key.replace('.', '/')}"
    if not key.key:
        if key.source is None or key.target is None:
            yield "a whole document cannot be null"
        if place.http is not None:
            yield "only values within an HTTP document can be switched: name a pointer"


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}/")
