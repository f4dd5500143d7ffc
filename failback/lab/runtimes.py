"""The functions of both sides: a Deno runtime each, which the side's product asks."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from failback.errors import LabError, UnreachableError
from failback.lab.accounts import write_private
from failback.lab.detection import answers_well
from failback.lab.parts import Part
from failback.lab.product.environment import FUNCTIONS_URL
from failback.lab.spec import LabSpec
from failback.models.common import Side

EXPIRE_FUNCTION = "expire-function"
WRONG_SECRETS = "wrong-secrets"
FAULTS: dict[str, str] = {
    EXPIRE_FUNCTION: "the function ai-query of a side has expired: it answers 410",
    WRONG_SECRETS: "the functions of a side are given wrong secrets",
}
"""What a runtime carries out, by name. It keeps them over a restart."""
_EXPIRES = "ai-query"
_DISABLED_AT_FIRST = {Side.SOURCE: "share-link", Side.TARGET: ""}
"""What a new lab has to enable on its way back."""
_ADMIN_SECONDS = 5.0
_DEPLOYED: tuple[dict[str, Any], ...] = (
    {
        "name": "ai-query",
        "probe": {"body": {"query": "What is this product?"}, "contains": "answer"},
        "secrets": ["PRODUCT_KEY"],
    },
    {"name": "hello", "probe": {"body": {"name": "failback"}, "contains": "Hello failback!"}},
    {
        "name": "share-link",
        "probe": {"body": {"path": "a.txt"}, "contains": "signature"},
        "secrets": ["LINK_KEY"],
    },
)


class FunctionRuntime(Part):
    """One side's functions.

    Args:
        side: whose they are.
        folder: keeps what is disabled, and the secrets.
        port: its port on 127.0.0.1.
        product_url: the product of the same side.
        token: of its admin API.
        values: secrets of the functions by name.
        log: the file for its output.
    """

    def __init__(
        self,
        side: Side,
        folder: Path,
        *,
        port: int,
        product_url: str,
        token: str,
        values: Mapping[str, str],
        log: Path,
    ) -> None:
        super().__init__(f"{side.value}-functions", log)
        self.side = side
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"{self.url}/_admin"
        self._folder = folder
        self._port = port
        self._product_url = product_url
        self._token = token
        self._values = dict(values)

    def prepare(self) -> None:
        """Write its secrets, where nobody has set others."""
        super().prepare()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.secrets_file.exists():
            write_private(self.secrets_file, json.dumps(self._values, indent=2))

    @property
    def secrets_file(self) -> Path:
        """A JSON object of secrets by name; it is read for every request."""
        return self._folder / "secrets.json"

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`. It may reach nothing but loopback, its code and its own folder."""
        code = Path(str(files("failback.lab").joinpath("deno")))
        return (
            *(deno_program(), "run", "--quiet", "--no-prompt", "--cached-only", "--no-config"),
            *("--no-lock", "--allow-net=127.0.0.1", "--allow-env=FAILBACK_LAB_ADMIN_TOKEN"),
            *(f"--allow-read={code},{self._folder}", f"--allow-write={self._folder}"),
            *(code / "runtime.ts", str(self._port), code / "functions"),
            *(self._folder / "state.json", self.secrets_file, self._product_url),
            _DISABLED_AT_FIRST[self.side],
        )

    def environment(self) -> Mapping[str, str]:
        """The token goes by the environment: arguments can be read by anybody."""
        return {
            **super().environment(),
            "DENO_DIR": str(self._folder / "cache"),
            "DENO_NO_UPDATE_CHECK": "1",
            "NO_COLOR": "1",
            "FAILBACK_LAB_ADMIN_TOKEN": self._token,
        }

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers_well(f"{self.url}/health")

    def inflict(self, fault: str, *, on: bool) -> None:
        """Carry a fault out, or end it; the others stay as they are.

        Raises:
            LabError: it refused.
            UnreachableError: it does not answer.
        """
        faults = self._asked("GET") | (
            {"expired": [_EXPIRES] if on else []}
            if fault == EXPIRE_FUNCTION
            else {"wrongSecrets": on}
        )
        self._asked("PUT", json=faults)

    def section(self, key: str) -> dict[str, Any]:
        """This side of the section `functions`.

        Args:
            key: the product's key that a probe shows.
        """
        return {
            "platform": "runtime",
            # Through the product, as Supabase's gateway stands before its functions.
            "url": f"{self._product_url}/functions/v1",
            "api_key": key,
            "admin_url": self.admin_url,
            "admin_token": self._token,
        }

    def _asked(self, method: str, **options: Any) -> dict[str, Any]:
        try:
            answer = httpx.request(
                method,
                f"{self.admin_url}/faults",
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=_ADMIN_SECONDS,
                trust_env=False,
                **options,
            )
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"The runtime {self.name} does not answer: {error or type(error).__name__}.",
                "Is the lab up? See `failback lab status`.",
            ) from error
        if not answer.is_success:
            raise LabError(f"The runtime {self.name} refused the fault: {answer.text[:200]}")
        faults: dict[str, Any] = answer.json()
        return faults


def runtimes(folder: Path, spec: LabSpec) -> dict[Side, FunctionRuntime]:
    """Both sides' runtimes of one lab."""
    values = {
        "PRODUCT_KEY": spec.secrets["anon_key"],
        "LINK_KEY": spec.secrets["functions_link_key"],
    }
    return {
        side: FunctionRuntime(
            side,
            folder / "functions" / side.value,
            port=spec.ports[f"{side.value}_functions"],
            product_url=f"http://127.0.0.1:{spec.ports[f'{side.value}_product']}",
            token=spec.secrets["functions_token"],
            values=values,
            log=folder / "logs" / f"{side.value}-functions.log",
        )
        for side in Side
    }


def functions_section(both: Mapping[Side, FunctionRuntime], key: str) -> dict[str, Any]:
    """The section `functions` of a lab's configuration."""
    return {
        **{side.value: runtime.section(key) for side, runtime in both.items()},
        "deployed": [dict(function) for function in _DEPLOYED],
    }


def functions_facts(both: Mapping[Side, FunctionRuntime]) -> dict[str, Any]:
    """Where the runtimes are, for the lab's owner alone."""
    return {
        side.value: {
            "url": runtime.url,
            "admin_url": runtime.admin_url,
            "secrets_file": str(runtime.secrets_file),
        }
        for side, runtime in both.items()
    }


def functions_environment(runtime: FunctionRuntime) -> dict[str, str]:
    """What the product of the same side has to know."""
    return {FUNCTIONS_URL: runtime.url}


def deno_program() -> Path:
    """The program, which its wheel puts beside the interpreter.

    Raises:
        LabError: it is not there.
    """
    # The interpreter of a virtual environment is a link: its own folder counts, not its aim.
    beside = Path(sys.executable).absolute().parent / "deno"
    if beside.is_file():
        return beside
    found = shutil.which("deno")
    if found is None:
        raise LabError(
            "The program `deno` is not installed.",
            "Install the extra with `pip install 'failback[lab]'`.",
        )
    return Path(found)
