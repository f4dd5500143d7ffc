"""The text of a `.env` file: one variable is changed, and every other character stays.

What a file means is decided by python-dotenv's parser. References such as `${NAME}` in values are
text here.
"""

import io
import re

from dotenv.parser import Binding, parse_stream

from failback.errors import SettingsError
from failback.providers.configuration.values import ABSENT, Absent, Value

_BOM = "\ufeff"
_LEAD = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*")
_SINGLE = re.compile(r"'(?:\\.|[^'\\])*'", re.DOTALL)
_DOUBLE = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"\s+#.*")
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
"""What means itself without quotes to a shell and to every reader of such files."""
_NOT_IN_SINGLE = re.compile(r"['\\\r\n]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}


def read_variable(text: str, name: str) -> Value:
    """A variable's value; `ABSENT` where it is not set.

    Raises:
        SettingsError: it stands there twice, or without a value.
    """
    found = _find(_bindings(text)[1], name)
    return ABSENT if found is None else found[1].value


def changed_variable(text: str, name: str, value: Value) -> str:
    """The text with one variable set, added at the end, or taken out.

    Quotes stay where they can hold the value. What follows on the line stays as well.

    Raises:
        SettingsError: as `read_variable`, or a reader would not see exactly this change.
    """
    mark, bindings = _bindings(text)
    found = _find(bindings, name)
    parts = [binding.original.string for binding in bindings]
    if found is None:
        if not isinstance(value, Absent):
            parts.append(_added("".join(parts), name, str(value)))
        index = len(bindings)
    else:
        index, binding = found
        parts[index] = (
            _blank(parts[index])
            if isinstance(value, Absent)
            else _with_value(parts[index], str(binding.value), str(value))
        )
    after = mark + "".join(parts)
    _check(bindings, index, _bindings(after)[1], name, value)
    return after


def _bindings(text: str) -> tuple[str, list[Binding]]:
    mark = _BOM if text.startswith(_BOM) else ""
    return mark, list(parse_stream(io.StringIO(text.removeprefix(_BOM), newline="")))


def _find(bindings: list[Binding], name: str) -> tuple[int, Binding] | None:
    found = [(at, binding) for at, binding in enumerate(bindings) if binding.key == name]
    if not found:
        return None
    if len(found) > 1:
        lines = ", ".join(str(binding.original.line) for _, binding in found)
        raise SettingsError(
            f"{name} is set more than once, near lines {lines}.", "Leave one of them."
        )
    if found[0][1].value is None:
        raise SettingsError(f"{name} stands there without `=`.", f"Write {name}= and a value.")
    return found[0]


def _with_value(original: str, old: str, new: str) -> str:
    """A variable's own stretch of the file with another value in it."""
    lead = _LEAD.match(original)
    if lead is None:
        raise SettingsError("A line of the file cannot be taken apart.")
    rest = original[lead.end() :]
    quoted = (_SINGLE if rest.startswith("'") else _DOUBLE).match(rest)
    if quoted is not None:
        style, end = rest[0], quoted.end()
    else:
        line = _LINE.match(rest)
        plain = line.group() if line else ""
        # `KEY= # note`: the value is empty, and the blank before the note is part of the lead.
        commented = plain.startswith("#") and lead.group()[-1].isspace()
        style, end = "", 0 if commented else len(_COMMENT.sub("", plain).rstrip())
        if commented:
            rest = f" {rest}"
    return lead.group() + _quoted(new, style, old) + rest[end:]


def _quoted(value: str, style: str, old: str = "") -> str:
    """A value in the style of the one before, or in the nearest that can hold it."""
    if not style and (_BARE.fullmatch(value) or _as_bare_as(value, old)):
        return value
    if style != '"' and not _NOT_IN_SINGLE.search(value):
        return f"'{value}'"
    if re.search(r"[$`]", value) and not _NOT_IN_SINGLE.search(value):
        # Within double quotes many readers would replace it.
        return f"'{value}'"
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in value) + '"'


def _as_bare_as(value: str, old: str) -> bool:
    """Whether a value without quotes asks no more of a reader than the one before did."""
    return bool(old) and all(
        _BARE.fullmatch(letter) or (letter in old and not letter.isspace() and letter not in "'\"#")
        for letter in value
    )


def _added(text: str, name: str, value: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    before = end if text and not text.endswith(("\n", "\r")) else ""
    return f"{before}{name}={_quoted(value, '')}{end}"


def _blank(original: str) -> str:
    """What is left of a variable's stretch without its line: the blank lines before it."""
    space = original[: len(original) - len(original.lstrip())]
    return space[: max(space.rfind("\n"), space.rfind("\r")) + 1]


def _check(
    before: list[Binding], index: int, after: list[Binding], name: str, value: Value
) -> None:
    """Whether a reader of the new text sees this change and no other."""
    others = [(one.key, one.value) for at, one in enumerate(before) if at != index and one.key]
    seen = [(one.key, one.value) for one in after if one.key and one.key != name]
    found = _find(after, name)
    now = ABSENT if found is None else found[1].value
    errors = sum(one.error for one in before), sum(one.error for one in after)
    if others != seen or now != value or errors[0] != errors[1]:
        raise SettingsError(
            f"{name} cannot be changed without changing what else the file says.",
            "Write its line as NAME='value'.",
        )
