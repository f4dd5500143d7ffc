"""Objects behind an endpoint that speaks S3: AWS, Supabase Storage, or any other."""

import hashlib
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from failback.errors import ObjectChangedError
from failback.models.common import Side
from failback.models.storage import (
    BucketState,
    DeletedKey,
    ObjectHead,
    ObjectPage,
    OpenUpload,
)
from failback.providers.storage.s3_buckets import keeps_versions, make_bucket
from failback.providers.storage.s3_errors import (
    explained,
    missing,
    no_bucket,
    not_implemented,
)
from failback.providers.storage.s3_listing import LISTED, NEXT_TOKEN, register
from failback.providers.storage.s3_values import (
    bare,
    content_md5,
    entry_of,
    head_of,
    write_arguments,
)
from failback.sections.storage import StorageEndpointConfig

_PROBE = ".failback-probe-"


class S3Endpoint:
    """Implements `ObjectEndpoint` by boto3.

    Checksums are sent as Content-MD5, which every server checks; the newer trailing ones are
    unknown to many that are not AWS.

    Args:
        side: which side's it is.
        config: how to reach it. Nothing is connected to yet.
        connections: how many requests may be under way at once.
    """

    def __init__(self, side: Side, config: StorageEndpointConfig, connections: int) -> None:
        self._side = side
        self._url = config.url or f"AWS ({config.region})"
        access, secret = config.access_key, config.secret_key
        self._account = hashlib.sha256(
            (access.get_secret_value() if access else "").encode()
        ).hexdigest()
        self._conditions: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=config.url or None,
            region_name=config.region,
            aws_access_key_id=access.get_secret_value() if access else None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            config=Config(
                connect_timeout=config.connect_timeout_seconds,
                read_timeout=config.read_timeout_seconds,
                max_pool_connections=max(10, connections),
                retries={"mode": "standard", "total_max_attempts": 4},
                s3={"addressing_style": "path" if config.path_style else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        register(self._client)

    @property
    def place(self) -> str:
        """See `ObjectEndpoint.place`."""
        return self._url

    @property
    def account(self) -> str:
        """See `ObjectEndpoint.account`."""
        return self._account

    def state(self, bucket: str) -> BucketState:
        """See `ObjectEndpoint.state`."""
        with explained(self._url, bucket):
            try:
                self._client.head_bucket(Bucket=bucket)
            except ClientError as error:
                if not missing(error):
                    raise
                lost = no_bucket(self._url, bucket)
                return BucketState(
                    side=self._side,
                    bucket=bucket,
                    exists=False,
                    problem=lost.cause,
                    cure=lost.cure,
                )
        return BucketState(
            side=self._side,
            bucket=bucket,
            exists=True,
            versioned=keeps_versions(self._client, self._url, bucket),
        )

    def make(self, bucket: str) -> None:
        """See `ObjectEndpoint.make`."""
        make_bucket(self._client, self._url, bucket)

    def honours_conditions(self, bucket: str) -> bool:
        """See `ObjectEndpoint.honours_conditions`."""
        with self._lock:
            if bucket not in self._conditions:
                self._conditions[bucket] = self._refuses_wrong_condition(bucket)
            return self._conditions[bucket]

    def _refuses_wrong_condition(self, bucket: str) -> bool:
        """Ask to replace a version of an object that never was: only one answer is right."""
        key = f"{_PROBE}{secrets.token_hex(8)}"
        with explained(self._url, bucket):
            try:
                self._client.put_object(Bucket=bucket, Key=key, Body=b"", IfMatch=f'"{"0" * 32}"')
            except ClientError as error:
                if not_implemented(error):
                    return False
                with_condition = error.response["Error"]["Code"]
                if with_condition in {"PreconditionFailed", "412", "NoSuchKey", "404"}:
                    return True
                raise
            self._client.delete_object(Bucket=bucket, Key=key)
            return False

    def listed(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """See `ObjectEndpoint.listed`."""
        token: dict[str, str] = {}
        while True:
            with explained(self._url, bucket):
                page = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
            date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
            objects = page.get(LISTED)
            if objects is None:
                objects = [entry_of(item) for item in page.get("Contents", ())]
            yield ObjectPage(
                objects=tuple(objects), at=parsedate_to_datetime(date) if date else None
            )
            if not page.get(NEXT_TOKEN):
                return
            token = {"ContinuationToken": page[NEXT_TOKEN]}

    def deleted(self, bucket: str, prefix: str) -> Iterator[DeletedKey]:
        """See `ObjectEndpoint.deleted`.

        A marker alone is no proof: deleting what never was leaves one, too. Versions of a key
        follow its marker, at the latest on the next page.
        """
        if not keeps_versions(self._client, self._url, bucket):
            return
        markers: dict[str, DeletedKey] = {}
        for page in self._versions(bucket, prefix):
            for marker in page.get("DeleteMarkers", ()):
                if marker.get("IsLatest"):
                    key = str(marker["Key"])
                    markers[key] = DeletedKey(key=key, at=marker["LastModified"])
            for version in page.get("Versions", ()):
                found = markers.pop(version["Key"], None)
                if found is not None:
                    yield found
            last = page.get("NextKeyMarker")
            markers = {key: value for key, value in markers.items() if key == last}

    def inventoried(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """See `ObjectEndpoint.inventoried`."""
        if not keeps_versions(self._client, self._url, bucket):
            yield from self.listed(bucket, prefix)
            return
        for page in self._versions(bucket, prefix):
            latest = [one for one in page.get("Versions", ()) if one.get("IsLatest")]
            yield ObjectPage(objects=tuple(map(entry_of, latest)))

    def _versions(self, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        """Every version and delete marker, a page at a time."""
        position: dict[str, str] = {}
        while True:
            with explained(self._url, bucket):
                page = self._client.list_object_versions(Bucket=bucket, Prefix=prefix, **position)
            yield page
            if not page.get("IsTruncated"):
                return
            position = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                position["VersionIdMarker"] = page["NextVersionIdMarker"]

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        """See `ObjectEndpoint.head`."""
        with explained(self._url, bucket, key):
            try:
                return head_of(self._client.head_object(Bucket=bucket, Key=key))
            except ClientError as error:
                if missing(error):
                    return None
                raise

    def get(self, bucket: str, key: str, etag: str) -> tuple[ObjectHead, bytes]:
        """See `ObjectEndpoint.get`."""
        return self._got(bucket, key, etag)

    def get_range(self, bucket: str, key: str, etag: str, start: int, length: int) -> bytes:
        """See `ObjectEndpoint.get_range`."""
        _, body = self._got(bucket, key, etag, Range=f"bytes={start}-{start + length - 1}")
        if len(body) != length:
            raise ObjectChangedError(f"{bucket}/{key} is shorter than it was.")
        return body

    def _got(self, bucket: str, key: str, etag: str, **wanted: str) -> tuple[ObjectHead, bytes]:
        """The condition is looked after here as well: not every server does."""
        with explained(self._url, bucket, key):
            answer = self._client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"', **wanted)
            with answer["Body"] as stream:
                head = head_of(answer)
                if head.etag != etag:
                    raise ObjectChangedError(f"{bucket}/{key} was replaced.")
                return head, stream.read()

    def put(
        self, bucket: str, key: str, body: bytes, head: ObjectHead, expected: str | None
    ) -> str:
        """See `ObjectEndpoint.put`."""
        condition = self._condition(bucket, key, expected)
        with explained(self._url, bucket, key):
            answer = self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentMD5=content_md5(body),
                **write_arguments(head),
                **condition,
            )
        return bare(answer["ETag"])

    def copy(
        self, bucket: str, key: str, origin: tuple[str, str], head: ObjectHead, expected: str | None
    ) -> str:
        """See `ObjectEndpoint.copy`."""
        condition = self._condition(bucket, key, expected)
        with explained(self._url, bucket, key):
            answer = self._client.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource={"Bucket": origin[0], "Key": origin[1]},
                CopySourceIfMatch=f'"{head.etag}"',
                MetadataDirective="REPLACE",
                **write_arguments(head),
                **condition,
            )
        return bare(answer["CopyObjectResult"]["ETag"])

    def delete(self, bucket: str, key: str, expected: str) -> bool:
        """See `ObjectEndpoint.delete`.

        Conditional deletes are known to fewer servers than conditional writes: it looks first.
        """
        found = self.head(bucket, key)
        if found is None:
            return False
        if found.etag != expected:
            raise ObjectChangedError(f"{bucket}/{key} was replaced.")
        condition = {"IfMatch": f'"{expected}"'} if self.honours_conditions(bucket) else {}
        with explained(self._url, bucket, key):
            try:
                self._client.delete_object(Bucket=bucket, Key=key, **condition)
            except ClientError as error:
                if not (condition and not_implemented(error)):
                    raise
                self._client.delete_object(Bucket=bucket, Key=key)
        return True

    def begin_upload(self, bucket: str, key: str, head: ObjectHead) -> OpenUpload:
        """See `ObjectEndpoint.begin_upload`."""
        with explained(self._url, bucket, key):
            answer = self._client.create_multipart_upload(
                Bucket=bucket, Key=key, **write_arguments(head)
            )
        return OpenUpload(bucket=bucket, key=key, id=str(answer["UploadId"]))

    def put_part(self, upload: OpenUpload, number: int, body: bytes) -> str:
        """See `ObjectEndpoint.put_part`."""
        with explained(self._url, upload.bucket, upload.key):
            answer = self._client.upload_part(
                Bucket=upload.bucket,
                Key=upload.key,
                UploadId=upload.id,
                PartNumber=number,
                Body=body,
                ContentMD5=content_md5(body),
            )
        return bare(answer["ETag"])

    def copy_part(
        self,
        upload: OpenUpload,
        number: int,
        origin: tuple[str, str, str],
        span: tuple[int, int],
    ) -> str:
        """See `ObjectEndpoint.copy_part`."""
        with explained(self._url, upload.bucket, upload.key):
            answer = self._client.upload_part_copy(
                Bucket=upload.bucket,
                Key=upload.key,
                UploadId=upload.id,
                PartNumber=number,
                CopySource={"Bucket": origin[0], "Key": origin[1]},
                CopySourceIfMatch=f'"{origin[2]}"',
                CopySourceRange=f"bytes={span[0]}-{span[0] + span[1] - 1}",
            )
        return bare(answer["CopyPartResult"]["ETag"])

    def parts(self, upload: OpenUpload) -> dict[int, tuple[str, int]] | None:
        """See `ObjectEndpoint.parts`."""
        found: dict[int, tuple[str, int]] = {}
        marker: dict[str, int] = {}
        while True:
            with explained(self._url, upload.bucket, upload.key):
                try:
                    page = self._client.list_parts(
                        Bucket=upload.bucket, Key=upload.key, UploadId=upload.id, **marker
                    )
                except ClientError as error:
                    if error.response["Error"]["Code"] in {"NoSuchUpload", "404"}:
                        return None
                    raise
            for part in page.get("Parts", ()):
                found[part["PartNumber"]] = (bare(part["ETag"]), part["Size"])
            if not page.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def complete_upload(
        self, upload: OpenUpload, etags: Sequence[str], expected: str | None
    ) -> str:
        """See `ObjectEndpoint.complete_upload`.

        Some servers answer with another ETag than their listings have, so it is asked for.
        """
        condition = self._condition(upload.bucket, upload.key, expected)
        parts = [
            {"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(etags, 1)
        ]
        with explained(self._url, upload.bucket, upload.key):
            self._client.complete_multipart_upload(
                Bucket=upload.bucket,
                Key=upload.key,
                UploadId=upload.id,
                MultipartUpload={"Parts": parts},
                **condition,
            )
        made = self.head(upload.bucket, upload.key)
        if made is None:
            raise ObjectChangedError(
                f"{upload.bucket}/{upload.key} was deleted as soon as it was written."
            )
        return made.etag

    def abandon_upload(self, upload: OpenUpload) -> None:
        """See `ObjectEndpoint.abandon_upload`."""
        with explained(self._url, upload.bucket, upload.key):
            try:
                self._client.abort_multipart_upload(
                    Bucket=upload.bucket, Key=upload.key, UploadId=upload.id
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"NoSuchUpload", "404"}:
                    raise

    def close(self) -> None:
        """See `ObjectEndpoint.close`."""
        self._client.close()

    def _condition(self, bucket: str, key: str, expected: str | None) -> Mapping[str, str]:
        """The headers of a conditional write; where they mean nothing, look before writing."""
        if self.honours_conditions(bucket):
            return {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        found = self.head(bucket, key)
        if (found.etag if found else None) != expected:
            raise ObjectChangedError(f"{bucket}/{key} is not what it was to replace.")
        return {}
