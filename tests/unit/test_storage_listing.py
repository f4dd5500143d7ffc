"""Listings of S3 as they are read: the same as botocore reads them, and much sooner."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from failback.errors import MissingRightError, UnreachableError
from failback.models.common import Side
from failback.models.storage import ObjectEntry
from failback.providers.storage import S3Endpoint
from failback.sections.storage import StorageEndpointConfig

_OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-24T12:55:55.979Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass>"
    "<Owner><ID>somebody</ID><DisplayName>Key</DisplayName></Owner></Contents>"
)
_AT = datetime(2026, 11, 24, 12, 55, 55, 979_000, tzinfo=UTC)


@contextmanager
def answering(*pages: str, status: int = 200) -> Iterator[tuple[S3Endpoint, list[str]]]:
    """An endpoint that answers these pages in turn, and what it was asked."""
    asked: list[str] = []
    left = list(pages)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = (left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    endpoint = S3Endpoint(
        Side.TARGET, StorageEndpointConfig(url=url, access_key="key", secret_key="secret"), 1
    )
    try:
        yield endpoint, asked
    finally:
        endpoint.close()
        server.shutdown()
        thread.join()
        server.server_close()


def page(*objects: str, extra: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>files</Name><Prefix/>{extra}{''.join(objects)}</ListBucketResult>"
    )


def listed(endpoint: S3Endpoint) -> list[ObjectEntry]:
    return [entry for one in endpoint.listed("files", "") for entry in one.objects]


def test_listing_when_it_has_pages_then_every_object_of_all_is_read() -> None:
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>"
    first = page(_OBJECT.format(key="a", etag="0a", size=5), extra=more)
    last = page(_OBJECT.format(key="b", etag="0b-2", size=7_000_000_000))
    with answering(first, last) as (endpoint, asked):
        entries = listed(endpoint)
    assert entries == [
        ObjectEntry(key="a", size=5, etag="0a", modified=_AT),
        ObjectEntry(key="b", size=7_000_000_000, etag="0b-2", modified=_AT),
    ]
    assert "continuation-token=a%26b%3D" in asked[1]


@pytest.mark.parametrize(
    ("told", "extra", "key"),
    [
        ("a%20b%2Bc+d%26%C3%A4", "<EncodingType>url</EncodingType>", "a b+c d&ä"),
        ("a%20b+c&amp;ä", "", "a%20b+c&ä"),
    ],
)
def test_key_when_it_has_strange_signs_then_it_is_read_as_the_server_says(
    told: str, extra: str, key: str
) -> None:
    with answering(page(_OBJECT.format(key=told, etag="0a", size=1), extra=extra)) as (endpoint, _):
        assert [entry.key for entry in listed(endpoint)] == [key]


def test_listing_when_times_have_no_zone_then_botocore_reads_it() -> None:
    odd = _OBJECT.format(key="a", etag="0a", size=1).replace(".979Z", "")
    with answering(page(odd)) as (endpoint, _):
        assert [(entry.key, entry.size) for entry in listed(endpoint)] == [("a", 1)]


def test_listing_when_the_server_refuses_then_it_is_an_error_and_no_empty_bucket() -> None:
    refusal = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with answering(refusal, status=403) as (endpoint, _), pytest.raises(MissingRightError):
        listed(endpoint)


def test_listing_when_the_answer_is_cut_then_it_is_an_error_and_no_empty_bucket() -> None:
    cut = page(_OBJECT.format(key="a", etag="0a", size=1))[:-30]
    with answering(cut) as (endpoint, _), pytest.raises(UnreachableError):
        listed(endpoint)
