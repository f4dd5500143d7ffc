"""Keys of a document, whether it lies in a file, in a bucket or behind an address."""

from collections.abc import Iterable, Sequence

from failback.errors import FailbackError, SettingsError
from failback.providers.configuration.json_text import changed_value, parsed, read_value
from failback.providers.configuration.place import Change, Reading
from failback.providers.configuration.values import digest
from failback.sections.configuration import KeyConfig


def read_keys(text: str, keys: Sequence[KeyConfig], seen: str) -> Reading:
    """What each key has in a JSON document, or as the whole text.

    Raises:
        SettingsError: a key points into a document that is no JSON.
    """
    digests: dict[str, str] = {}
    problems: dict[str, FailbackError] = {}
    document = parsed(text) if any(not _whole_text(key) for key in keys) else None
    for key in keys:
        try:
            found = text if _whole_text(key) else read_value(document, key.key)
        except SettingsError as error:
            problems[key.name] = error
        else:
            digests[key.name] = digest(found)
    return Reading(digests, problems, seen)


def changed_keys(text: str, changes: Iterable[Change]) -> str:
    """The document with these keys changed."""
    for key, value in changes:
        text = str(value) if _whole_text(key) else changed_value(text, key.key, value)
    return text


def _whole_text(key: KeyConfig) -> bool:
    return not key.key and key.form == "text"
