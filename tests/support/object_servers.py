"""Real S3 servers: rclone, plain and without versions or conditions, and SeaweedFS with both."""

import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from pydantic import SecretStr

from failback.lab.processes import end, free_port, spawn, tail, wait_until
from failback.models.common import Side
from failback.providers.storage import S3Endpoint
from failback.sections.storage import StorageEndpointConfig

ACCESS, SECRET = "failbacktest", "made-up-secret"


class S3Server:
    """A running server."""

    def __init__(self, url: str, *, versions: bool) -> None:
        self.url = url
        self.versions = versions
        self._endpoints: dict[Side, S3Endpoint] = {}
        self.config = StorageEndpointConfig(
            url=url, access_key=SecretStr(ACCESS), secret_key=SecretStr(SECRET)
        )
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def endpoint(self, side: Side) -> S3Endpoint:
        """One for each side, closed with the server: a client takes a third of a second."""
        if side not in self._endpoints:
            self._endpoints[side] = S3Endpoint(side, self.config, 16)
        return self._endpoints[side]

    def close(self) -> None:
        self.client.close()
        for endpoint in self._endpoints.values():
            endpoint.close()

    def make(self, bucket: str, *, versioned: bool = False) -> None:
        self.client.create_bucket(Bucket=bucket)
        if versioned:
            self.client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )


def _program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed"
    return found


@contextmanager
def _running(
    command: Sequence[str | Path],
    log: Path,
    url: str,
    *,
    versions: bool,
    settings: Mapping[str, str] | None = None,
) -> Iterator[S3Server]:
    process = spawn(list(command), log=log, environment={**os.environ, **(settings or {})})
    try:
        assert wait_until(lambda: process.poll() is not None or _answers(url), 30)
        assert process.poll() is None, tail(log)
        server = S3Server(url, versions=versions)
        yield server
        server.close()
    finally:
        end(process, (signal.SIGKILL, 5.0))


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
    return True


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    """Keeps objects as files."""
    files = folder / "files"
    files.mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    command = (
        *(_program("rclone"), "serve", "s3", "--addr", address),
        *("--config", "", "--auth-key", f"{ACCESS},{SECRET}", files),
    )
    with _running(command, folder / "rclone.log", f"http://{address}", versions=False) as server:
        yield server


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """Has versions and conditional writes. Its gRPC ports are 10 000 above the others."""
    (folder / "data").mkdir(parents=True)
    identity = {
        "name": "test",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = [free_port() for _ in range(4)]
    grpc = [free_port() for _ in range(4)]
    parts = ("master", "volume", "filer", "s3")
    command = (
        *(_program("weed"), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1"),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}"),
        *("-volume.max=1000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{part}.port={port}" for part, port in zip(parts, ports, strict=True)),
        *(f"-{part}.port.grpc={port}" for part, port in zip(parts, grpc, strict=True)),
    )
    url = f"http://127.0.0.1:{ports[3]}"
    one_volume = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}  # a bucket; seven by default
    log = folder / "seaweed.log"
    with _running(command, log, url, versions=True, settings=one_volume) as server:
        yield server
