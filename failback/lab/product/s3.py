"""A small S3 client of the product: requests signed by botocore and sent by aiohttp.

botocore's own client blocks, and takes longer to start than the product does.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

_TIMEOUT = aiohttp.ClientTimeout(total=4.0, connect=1.5)
"""Shorter than a request may keep its connection to the database."""
_VARIABLE = "FAILBACK_LAB_OBJECTS"
_META = "x-amz-meta-"
_MISSING = 404


class ObjectStoreError(Exception):
    """The endpoint did not do what it was asked for, or does not answer: nothing is known."""


class BucketGoneError(Exception):
    """The bucket is not there: nothing was written."""


@dataclass(frozen=True)
class S3Access:
    """Where objects are, and with which keys.

    Args:
        url: the endpoint.
        region: what requests are signed for.
        access_key: goes with the secret key.
        secret_key: signs; shown nowhere.
        buckets: what objects may be stored in.
    """

    url: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    buckets: tuple[str, ...]

    @staticmethod
    def written(endpoint: Mapping[str, Any], buckets: Sequence[str]) -> dict[str, str]:
        """All of it as an environment variable.

        Args:
            endpoint: `url`, `region`, `access_key` and `secret_key`.
            buckets: what objects may be stored in.
        """
        return {_VARIABLE: json.dumps({**endpoint, "buckets": list(buckets)})}

    @classmethod
    def read(cls) -> Self | None:
        """What this process was told by its environment; None where it was told nothing."""
        told = os.environ.get(_VARIABLE)
        if not told:
            return None
        facts = json.loads(told)
        return cls(**{**facts, "buckets": tuple(facts["buckets"])})


@dataclass(frozen=True)
class Content:
    """An object's bytes with what is kept beside them."""

    body: bytes
    content_type: str
    cache_control: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    modified: str = ""
    """As an HTTP date; empty where it is not known."""


class S3Client:
    """Reads and writes objects. One for each event loop.

    Args:
        access: where to.
    """

    def __init__(self, access: S3Access) -> None:
        self._access = access
        self._signer = S3SigV4Auth(
            Credentials(access.access_key, access.secret_key), "s3", access.region
        )
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def put(self, bucket: str, key: str, content: Content) -> str:
        """Write an object; returns its ETag, without quotes.

        Raises:
            BucketGoneError: there is no such bucket.
            ObjectStoreError: it may be written, or not.
        """
        headers = {
            "Content-Type": content.content_type,
            "Content-MD5": base64.b64encode(_md5(content.body)).decode(),
            **({"Cache-Control": content.cache_control} if content.cache_control else {}),
            **{f"{_META}{name.lower()}": value for name, value in content.metadata.items()},
        }
        status, answer, _ = await self._sent("PUT", bucket, key, headers, content.body)
        if status == _MISSING:
            raise BucketGoneError(bucket)
        return answer.get("ETag", "").strip('"')

    async def get(self, bucket: str, key: str) -> Content | None:
        """An object; None where there is none.

        Raises:
            ObjectStoreError: the endpoint does not tell.
        """
        status, answer, body = await self._sent("GET", bucket, key)
        if status == _MISSING:
            return None
        return Content(
            body=body,
            content_type=answer.get("Content-Type", ""),
            cache_control=answer.get("Cache-Control", ""),
            metadata={
                name.lower().removeprefix(_META): value
                for name, value in answer.items()
                if name.lower().startswith(_META)
            },
            etag=answer.get("ETag", "").strip('"'),
            modified=answer.get("Last-Modified", ""),
        )

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object, whether it is there or not.

        Raises:
            ObjectStoreError: it may be deleted, or not.
        """
        await self._sent("DELETE", bucket, key)

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is there.

        Raises:
            ObjectStoreError: the endpoint does not tell.
        """
        status, _, _ = await self._sent("HEAD", bucket, "")
        return status != _MISSING

    async def _sent(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer that is 2xx or 404."""
        url = f"{self._access.url}/{quote(bucket)}" + (f"/{quote(key, safe='/~')}" if key else "")
        request = AWSRequest(method, url, data=body, headers=dict(headers or {}))
        self._signer.add_auth(request)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=body or None, headers=dict(request.headers)
            ) as response:
                content = await response.read()
                if not response.ok and response.status != _MISSING:
                    raise ObjectStoreError(f"{method} was answered {response.status}")
                return response.status, response.headers, content
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ObjectStoreError(f"{method}: {error or type(error).__name__}") from error


def _md5(body: bytes) -> bytes:
    """Guards the way, and is no protection."""
    return hashlib.md5(body, usedforsecurity=False).digest()
