"""Fills the configuration files of the lab's servers."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("failback.lab", "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # these are configuration files, not pages
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def filled(template: str, **values: Any) -> str:
    """The text of a template; a value that is missing is an error, never an empty string."""
    return _TEMPLATES.get_template(template).render(**values)
