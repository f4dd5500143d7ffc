"""How generated files are written: YAML that people can read, under a head that says whence."""

import textwrap
from typing import Any

import yaml

_WIDTH = 100


def document(head: str, content: dict[str, Any]) -> str:
    """A YAML document under comment lines."""
    comment = textwrap.indent(head, "# ", lambda _: True)
    # Long PromQL stays on one line, where it can be searched for and copied.
    body = yaml.safe_dump(content, sort_keys=False, width=10 * _WIDTH, allow_unicode=True)
    return f"{comment}\n{body}"


def duration(seconds: float) -> str:
    """A time as Prometheus writes it: whole units without a point."""
    milliseconds = round(seconds * 1000)
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"
