"""An S3 server for tests: rclone on a folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from failback.lab.processes import answers, end, free_port, spawn, tail, wait_until
from failback.sections.backup import S3Config

BUCKET = "backups"
ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-key"


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Config]:
    """Serve the folders in a folder as buckets, one of which is there already."""
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    port, log = free_port(), folder / "rclone.log"
    process = spawn(
        [
            *(Path(sys.executable).absolute().parent / "rclone", "serve", "s3"),
            *(f"--addr=127.0.0.1:{port}", f"--auth-key={ACCESS_KEY},{SECRET_KEY}"),
            *("--config=", folder / "buckets"),
        ],
        log=log,
        environment={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    try:
        assert wait_until(lambda: answers(port), 20.0), tail(log)
        yield S3Config(
            bucket=BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            access_key=SecretStr(ACCESS_KEY),
            secret_key=SecretStr(SECRET_KEY),
            path_style=True,
            timeout_seconds=5.0,
        )
    finally:
        end(process)
