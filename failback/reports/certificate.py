"""A certificate as one HTML file that needs nothing else: no script, no other file."""

from functools import lru_cache
from importlib import metadata

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from failback.models.certificate import Certificate
from failback.reports import facts


def render(certificate: Certificate, key: str, *, checked: bool) -> str:
    """The page of a certificate.

    Args:
        certificate: what the file says.
        key: fingerprint of the key that signed it.
        checked: whether the signature was checked by who made this page.

    Returns:
        A whole HTML document. Every text in it is escaped. The page proves nothing: the signed
        file does.
    """
    return _template().render(
        certificate=certificate,
        key=key,
        checked=checked,
        version=metadata.version("failback"),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("failback.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = facts.clock
    environment.filters["seconds"] = facts.seconds
    return environment.get_template("certificate.html.j2")
