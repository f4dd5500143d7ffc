"""Values of the configuration, and the digests by which they are compared.

Changes when values of another form are kept. A value leaves its place as a digest only.
"""

import hashlib
import json
from typing import Any

from failback.models.common import Side
from failback.sections.configuration import KeyConfig

_SHOWN = 8


class Absent:
    """What a key has where it is not there; JSON's null is a value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()

Value = Any
"""Text, or what JSON has, or `ABSENT`."""


def wanted(key: KeyConfig, side: Side) -> Value:
    """The value that a key has on one side."""
    text = key.on(side)
    if text is None:
        return ABSENT
    return json.loads(text) if key.form == "json" else text


def digest(value: Value) -> str:
    """SHA-256 in hexadecimal; empty for what is not there.

    That of a text is over its UTF-8, as Supabase's API has it; that of any other value over its
    canonical JSON.
    """
    if isinstance(value, Absent):
        return ""
    if isinstance(value, str):
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"json:{text}".encode()).hexdigest()


def shown(value_digest: str) -> str:
    """A digest as reports show it: enough to tell two values apart, too little to guess one."""
    return f"sha256 {value_digest[:_SHOWN]}…" if value_digest else "not set"
