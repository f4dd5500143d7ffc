"""What a lab is made of: its name, ports and secrets. Written once, kept over restarts."""

import base64
import secrets
import string
import time
from pathlib import Path
from typing import Literal

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError

from failback.errors import LabError
from failback.lab.accounts import write_private
from failback.models.common import Side
from failback.models.decision import Mode

PORTS = (
    "source_database",
    "target_database",
    "source_product",
    "target_product",
    "temporal",
    "temporal_ui",
    "api",
    "database",
    "dns",
    "prometheus",
    "alertmanager",
    "gateway",
    "inbox",
    "mail",
    "source_objects",
    "target_objects",
    "source_functions",
    "target_functions",
    "management",
    "source_door",
    "standby_database",
)
DATABASE = "product"
"""The name of the product's database on both sides."""
_TOKENS = ("alertmanager", "viewer", "operator", "approver")
"""Who shows a token to the gateway."""
_TEN_YEARS_SECONDS = 10 * 365 * 86_400


class LabSpec(BaseModel):
    """A lab's lasting choices. Holds secrets: its file may be read by its owner alone."""

    model_config = ConfigDict(frozen=True)

    name: str
    dns: Literal["knot", "builtin"]
    worker: bool = False
    detection: bool = False
    """Whether something watches the product, and a gateway takes its alerts."""
    system: bool = False
    """Whether objects, functions, platform APIs and a standby belong to it: levels 3 and 4."""
    mode: Mode = Mode.AUTOMATIC
    """How far failback may go by itself when an alert comes."""
    ports: dict[str, int]
    secrets: dict[str, str]

    @property
    def zone(self) -> str:
        """The DNS zone, with its final dot."""
        return f"{self.name}.failback.test."


def new_secrets() -> dict[str, str]:
    """Passwords and keys of a new lab; the API keys are tokens as Supabase's are."""
    jwt_secret = secrets.token_hex(32)
    return {
        "failback_password": secrets.token_hex(16),
        "product_password": secrets.token_hex(16),
        "tsig": base64.b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": jwt_secret,
        "link_key": secrets.token_hex(32),
        "inbox_key": secrets.token_hex(16),
        **{f"{side.value}_objects": secrets.token_hex(20) for side in Side},
        **{f"{name}_token": secrets.token_urlsafe(32) for name in _TOKENS},
        "functions_token": secrets.token_urlsafe(32),
        "functions_link_key": secrets.token_hex(32),
        "management_token": f"sbp_{secrets.token_hex(20)}",
        "project_ref": "".join(secrets.choice(string.ascii_lowercase) for _ in range(20)),
        "anon_key": _api_key("anon", jwt_secret),
        "service_key": _api_key("service_role", jwt_secret),
    }


def read_spec(path: Path) -> LabSpec | None:
    """A lab's spec; None where there is no file.

    Raises:
        LabError: the file is damaged.
    """
    try:
        return LabSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LabError(
            f"{path} does not describe a lab: {error}", "Remove its folder and start a new lab."
        ) from error


def write_spec(path: Path, spec: LabSpec) -> None:
    """Write a lab's spec for its owner alone."""
    write_private(path, spec.model_dump_json(indent=2) + "\n")


def _api_key(role: str, secret: str) -> str:
    now = int(time.time())
    claims = {"iss": "lab", "role": role, "iat": now, "exp": now + _TEN_YEARS_SECONDS}
    return jwt.encode(claims, secret, algorithm="HS256")
