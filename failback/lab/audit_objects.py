"""Reads what an endpoint holds of a journal's objects, for the judge."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

from failback.errors import BucketMissingError, ObjectChangedError
from failback.lab.customer_objects import TABLE, fingerprint
from failback.models.common import Side
from failback.models.storage import ObjectEntry
from failback.providers.storage import S3Endpoint
from failback.sections.storage import StorageEndpointConfig

_AT_ONCE = 8
_PREFIX = f"{TABLE}/"


def is_object(key: str) -> bool:
    """Whether a key of a journal names an object."""
    return key.startswith(_PREFIX)


def held_objects(endpoint: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Digest and bytes of those objects that an endpoint has, by the journal's keys.

    Args:
        endpoint: how to reach it, as `storage.source` is written.
        keys: keys of a journal; those that name no object are left out.

    Raises:
        UnreachableError: it does not answer.
        CredentialsError: the keys are wrong.
        StorageRefusedError: it refused to tell.
    """
    wanted = {key.removeprefix(_PREFIX) for key in keys if is_object(key)}
    known = {name: endpoint[name] for name in ("url", "region", "access_key", "secret_key")}
    held: dict[str, str] = {}
    reader = S3Endpoint(Side.SOURCE, StorageEndpointConfig.model_validate(known), _AT_ONCE)
    with closing(reader), ThreadPoolExecutor(_AT_ONCE) as pool:
        for bucket in sorted({name.partition("/")[0] for name in wanted}):
            there = [
                entry for entry in _listed(reader, bucket) if f"{bucket}/{entry.key}" in wanted
            ]
            found = pool.map(lambda entry, bucket=bucket: _read(reader, bucket, entry), there)
            for entry, print_ in zip(there, found, strict=True):
                if print_:
                    held[f"{_PREFIX}{bucket}/{entry.key}"] = print_
    return held


def _listed(reader: S3Endpoint, bucket: str) -> list[ObjectEntry]:
    """A bucket's objects; none where the bucket itself is lost."""
    entries: list[ObjectEntry] = []
    with suppress(BucketMissingError):
        for page in reader.listed(bucket, ""):
            entries.extend(page.objects)
    return entries


def _read(reader: S3Endpoint, bucket: str, entry: ObjectEntry) -> str:
    try:
        return fingerprint(reader.get(bucket, entry.key, entry.etag)[1])
    except ObjectChangedError:
        return ""  # deleted or replaced under the audit: then it is not what the journal says
