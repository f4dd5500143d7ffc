"""S3's words for what is kept with an object, and ours."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from failback.models.storage import ObjectEntry, ObjectHead

_HEADERS = {
    "content_type": "ContentType",
    "cache_control": "CacheControl",
    "content_disposition": "ContentDisposition",
    "content_encoding": "ContentEncoding",
    "content_language": "ContentLanguage",
}


def entry_of(item: Mapping[str, Any]) -> ObjectEntry:
    """An item of a listing."""
    return ObjectEntry(
        key=item["Key"],
        size=item["Size"],
        etag=bare(item.get("ETag", "")),
        modified=item["LastModified"],
        version=item.get("VersionId", ""),
    )


def head_of(answer: Mapping[str, Any]) -> ObjectHead:
    """The headers of an answer. `size` is that of the answer's body, where it has one."""
    return ObjectHead(
        size=answer["ContentLength"],
        etag=bare(answer.get("ETag", "")),
        metadata={name.lower(): value for name, value in answer.get("Metadata", {}).items()},
        **{field: answer.get(name, "") for field, name in _HEADERS.items()},
    )


def write_arguments(head: ObjectHead) -> dict[str, Any]:
    """The arguments of a write that carry everything but the bytes."""
    texts = {name: getattr(head, field) for field, name in _HEADERS.items()}
    return {**{name: text for name, text in texts.items() if text}, "Metadata": head.metadata}


def bare(etag: str) -> str:
    """An ETag without its quotes; servers differ in whether a listing has them."""
    return etag.strip('"')


def content_md5(body: bytes) -> str:
    """Content-MD5 guards the way; it is no protection and need be none."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
