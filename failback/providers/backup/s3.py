"""Objects in a bucket, by boto3: Amazon S3 and whatever else speaks its protocol."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

from failback.backup_ports import StoredObject
from failback.errors import (
    CredentialsError,
    FailbackError,
    MissingRightError,
    ObjectMissingError,
    ObjectStoreError,
    UnreachableError,
)
from failback.sections.backup import S3Config

_PIECE = 2**20
_PART = 16 * 2**20
"""Bytes of a part of an upload; boto3 raises it where an object would have too many parts."""
_PARTS_AT_ONCE = 4
_TRIES = 5

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "AuthorizationHeaderMalformed",
    }
)
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
_NO_LOCK = frozenset(
    {
        "ObjectLockConfigurationNotFoundError",
        "NotImplemented",
        "MethodNotAllowed",
        "InvalidRequest",
    }
)
_SERVER_ERROR = 500


class S3Store:
    """Implements `ObjectStore`.

    Every upload carries a CRC32 that the server checks, and large ones go in parts, of which
    at most 4 × 16 MiB are in memory. An upload in parts appears when its last part is there.

    Args:
        config: which bucket, and how to reach it.
    """

    def __init__(self, config: S3Config) -> None:
        self._config = config
        self._prefix = f"{config.prefix.strip('/')}/" if config.prefix.strip("/") else ""
        self._transfer = TransferConfig(
            multipart_threshold=_PART,
            multipart_chunksize=_PART,
            max_concurrency=_PARTS_AT_ONCE,
            io_chunksize=_PIECE,
        )
        self._lock_is_offered: bool | None = None
        self._asking = threading.Lock()
        with self._explaining():
            self._client = _client(config)

    @property
    def place(self) -> str:
        """See `ObjectStore.place`."""
        at = f" at {self._config.endpoint}" if self._config.endpoint else ""
        return f"s3://{self._config.bucket}/{self._prefix}{at}"

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore.put_file`."""
        with self._explaining(key):
            self._client.upload_file(
                str(path),
                self._config.bucket,
                self._prefix + key,
                ExtraArgs=self._kept(),
                Config=self._transfer,
            )

    def put_bytes(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put_bytes`."""
        with self._explaining(key):
            self._client.put_object(
                Bucket=self._config.bucket, Key=self._prefix + key, Body=data, **self._kept()
            )

    def read(self, key: str) -> Iterator[bytes]:
        """See `ObjectStore.read`."""
        with self._explaining(key):
            answer = self._client.get_object(Bucket=self._config.bucket, Key=self._prefix + key)
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(_PIECE)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        pages = self._client.get_paginator("list_objects_v2")
        found = []
        with self._explaining():
            for page in pages.paginate(Bucket=self._config.bucket, Prefix=self._prefix + prefix):
                found += [
                    StoredObject(key=one["Key"].removeprefix(self._prefix), bytes=one["Size"])
                    for one in page.get("Contents", ())
                ]
        # Some servers sort by folders first.
        yield from sorted(found, key=lambda one: one.key)

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`.

        In a bucket with versions this writes delete markers; what object lock holds stays.
        """
        for key in keys:
            # One by one: the order is promised, and not every server knows the joint request.
            with self._explaining(key):
                self._client.delete_object(Bucket=self._config.bucket, Key=self._prefix + key)

    def close(self) -> None:
        """See `ObjectStore.close`."""
        self._client.close()

    def _kept(self) -> dict[str, Any]:
        """How long an object that is put now cannot be deleted."""
        if not self._config.lock_days:
            return {}
        with self._asking:
            if self._lock_is_offered is None:
                self._lock_is_offered = self._lock_offered()
        if not self._lock_is_offered:
            raise ObjectStoreError(
                f"The bucket {self._config.bucket} offers no object lock.",
                "Set backup.s3.lock_days to 0, or make the bucket with object lock.",
            )
        until = datetime.now(UTC) + timedelta(days=self._config.lock_days)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}

    def _lock_offered(self) -> bool:
        try:
            answer = self._client.get_object_lock_configuration(Bucket=self._config.bucket)
        except ClientError as error:
            if _code(error) in _NO_LOCK:
                return False
            raise
        found = answer.get("ObjectLockConfiguration", {})
        return bool(found.get("ObjectLockEnabled") == "Enabled")

    @contextmanager
    def _explaining(self, key: str = "") -> Iterator[None]:
        """Turn boto3's errors inside the block into failback's own."""
        try:
            yield
        except boto3.exceptions.S3UploadFailedError as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ClientError):
                raise self._refused(cause, key) from error
            raise ObjectStoreError(f"{key} could not be uploaded to {self.place}.") from error
        except ClientError as error:
            raise self._refused(error, key) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise CredentialsError(
                f"There are no credentials for {self.place}.",
                "Set backup.s3.access_key and secret_key, or what boto3 reads by itself.",
            ) from error
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise UnreachableError(
                f"{self.place} does not answer: {_first_line(error)}.",
                "Check backup.s3.endpoint and the network.",
            ) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            raise ObjectStoreError(
                f"{self.place} cannot be used: {_first_line(error)}.",
                "Correct the section backup.s3.",
            ) from error

    def _refused(self, error: ClientError, key: str) -> FailbackError:
        code = _code(error)
        said = f"{code}: {error.response.get('Error', {}).get('Message', '')}".strip(": ")
        if code in _MISSING:
            return ObjectMissingError(f"There is no {key} in {self.place}.")
        if code == "NoSuchBucket":
            return ObjectStoreError(
                f"There is no bucket {self._config.bucket}.",
                "Make it, or correct backup.s3.bucket.",
            )
        if code in _CREDENTIALS:
            return CredentialsError(
                f"{self.place} refused the credentials ({said}).",
                "Correct backup.s3.access_key and secret_key, or what boto3 reads by itself.",
            )
        if code in _DENIED:
            return MissingRightError(
                f"{self.place} refused the request ({said}).",
                "Allow ListBucket on the bucket, and GetObject, PutObject and DeleteObject in it.",
            )
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= _SERVER_ERROR or code in {"SlowDown", "RequestTimeout"}:
            return UnreachableError(f"{self.place} cannot answer now ({said}).", "Try again.")
        return ObjectStoreError(f"{self.place} refused the request ({said}).")


def _client(config: S3Config) -> Any:
    secrets = {
        "aws_access_key_id": config.access_key,
        "aws_secret_access_key": config.secret_key,
    }
    given = {name: one.get_secret_value() for name, one in secrets.items() if one is not None}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=config.endpoint or None,
        region_name=config.region or ("us-east-1" if config.endpoint else None),
        config=Config(
            connect_timeout=config.timeout_seconds,
            read_timeout=config.timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            s3={"addressing_style": "path" if config.path_style else "auto"},
        ),
        **given,
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
