"""What is secret reaches a product by its environment: anybody can read arguments."""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLES = {
    "dsn": "FAILBACK_LAB_DSN",
    "jwt_secret": "FAILBACK_LAB_JWT_SECRET",
    "anon_key": "FAILBACK_LAB_ANON_KEY",
    "service_key": "FAILBACK_LAB_SERVICE_KEY",
}
"""The libpq connection string of role `product`, and what is the same on both sides."""
JWT_KEYS = "FAILBACK_LAB_JWT_KEYS"
"""A JSON file of private keys that access tokens are signed with; none: the secret alone is."""
REUSE_SECONDS = "FAILBACK_LAB_REUSE_SECONDS"
"""How long after its rotation a refresh token may be shown again."""

FUNCTIONS_URL = "FAILBACK_LAB_FUNCTIONS_URL"
"""The runtime of the side's functions; none: the product runs two of them itself."""


def written(values: Mapping[str, str]) -> dict[str, str]:
    """Values by name as environment variables."""
    return {variable: values[name] for name, variable in VARIABLES.items()}


def read() -> dict[str, str]:
    """The values of this process by name.

    Raises:
        LookupError: some are missing; the text names them.
    """
    missing = [variable for variable in VARIABLES.values() if not os.environ.get(variable)]
    if missing:
        raise LookupError(f"The product needs {', '.join(missing)} in its environment.")
    return {name: os.environ[variable] for name, variable in VARIABLES.items()}


def jwt_keys() -> Path | None:
    """The file of signing keys of this process; None where it has none."""
    named = os.environ.get(JWT_KEYS)
    return Path(named) if named else None


def reuse_seconds() -> float:
    """How long a rotated refresh token may be shown again; ten seconds as on hosted projects."""
    return float(os.environ.get(REUSE_SECONDS) or 10.0)


def functions_url() -> str | None:
    """The runtime that functions are asked of; None where the product runs them itself."""
    return os.environ.get(FUNCTIONS_URL) or None
