"""The lab's stand-in for the management API of the source's project, as a part of it."""

import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from failback.lab.detection import answers_well
from failback.lab.management.names import HEALTH_PATH, JWT_SECRET, TOKEN
from failback.lab.parts import Part
from failback.lab.spec import LabSpec


class ManagementServer(Part):
    """See `failback.lab.management`.

    Args:
        folder: keeps what it knows.
        spec: its port, the project and its token.
        secrets_file: secrets of the source's functions.
        jwt_keys: signing keys of the source's auth.
        log: the file for its output.
    """

    def __init__(
        self, folder: Path, spec: LabSpec, *, secrets_file: Path, jwt_keys: Path, log: Path
    ) -> None:
        super().__init__("management", log)
        self.url = f"http://127.0.0.1:{spec.ports['management']}"
        self._folder = folder
        self._spec = spec
        self._files = (secrets_file, jwt_keys)

    def prepare(self) -> None:
        """Make the folders that it writes to."""
        super().prepare()
        for folder in (self._folder, *(file.parent for file in self._files)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        secrets_file, jwt_keys = self._files
        return (
            *(sys.executable, "-m", "failback.lab.management"),
            *("--port", str(self._spec.ports["management"])),
            *("--ref", self._spec.secrets["project_ref"]),
            *("--state", self._folder / "state.json"),
            *("--secrets", secrets_file, "--jwt-keys", jwt_keys),
            *("--functions", Path(str(files("failback.lab").joinpath("deno", "functions")))),
        )

    def environment(self) -> Mapping[str, str]:
        """The token and the secret go by the environment: arguments can be read by anybody."""
        return {
            **super().environment(),
            TOKEN: self._spec.secrets["management_token"],
            JWT_SECRET: self._spec.secrets["jwt_secret"],
        }

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers_well(self.url + HEALTH_PATH)

    def section(self) -> dict[str, Any]:
        """The section `supabase` of the lab's configuration."""
        return {
            "ref": self._spec.secrets["project_ref"],
            "access_token": self._spec.secrets["management_token"],
            "api_url": self.url,
        }
