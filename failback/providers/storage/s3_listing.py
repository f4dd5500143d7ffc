"""Reads a page of a listing in a fifth of the time that botocore takes.

A listing of a million objects is a thousand pages of XML. botocore's parser walks its model for
every element of them, which takes longer than most servers take to answer; a sync that waits
inside a fence waits for that. Everything but the objects is still botocore's: signatures, retries,
and errors.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.parsers import expat

from failback.models.storage import ObjectEntry

LISTED = "Listed"
"""Where an answer holds the objects of its page, as a list of `ObjectEntry`."""
NEXT_TOKEN = "NextContinuationToken"  # noqa: S105 - the name of a field

_OK = 200
_OBJECT = "Contents"
_WANTED = frozenset({"Key", "Size", "ETag", "LastModified"})
_EMPTY = b"<ListBucketResult/>"


def register(client: Any) -> None:
    """Let a boto3 client of S3 read its listings so."""
    client.meta.events.register("before-parse.s3.ListObjectsV2", _take)


def _take(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Take the objects out of an answer before botocore sees it; errors are left to it."""
    if response_dict["status_code"] != _OK:
        return
    page = _Page()
    try:
        page.parse(response_dict["body"])
    except (expat.ExpatError, KeyError, ValueError):
        return  # botocore says what is wrong with it
    customized_response_dict[LISTED] = page.entries
    if page.token:
        customized_response_dict[NEXT_TOKEN] = page.token
    response_dict["body"] = _EMPTY


class _Page:
    """The objects of one answer, and where the next page begins."""

    def __init__(self) -> None:
        self.entries: list[ObjectEntry] = []
        self.token = ""
        self._encoded = False
        self._depth = 0
        self._object: dict[str, str] | None = None
        self._text: list[str] | None = None
        self._found: list[Mapping[str, str]] = []

    def parse(self, body: bytes) -> None:
        """Read a whole answer.

        Raises:
            ExpatError: it is no XML.
            KeyError: an object lacks what every object has.
            ValueError: a size or a time cannot be read.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(body, True)
        self.entries = [self._entry(found) for found in self._found]

    def _entry(self, found: Mapping[str, str]) -> ObjectEntry:
        key, modified = found["Key"], datetime.fromisoformat(found["LastModified"])
        if modified.tzinfo is None:
            raise ValueError("a time without its zone")
        return ObjectEntry(
            key=unquote_plus(key) if self._encoded else key,
            size=int(found["Size"]),
            etag=found.get("ETag", "").strip('"'),
            modified=modified,
        )

    def _start(self, name: str, _attributes: object) -> None:
        self._depth += 1
        name = name.rpartition(":")[2]
        if self._depth == 2 and name == _OBJECT:  # noqa: PLR2004 - right below the root
            self._object = {}
        elif (self._depth == 3 and self._object is not None and name in _WANTED) or (  # noqa: PLR2004
            self._depth == 2 and name in {NEXT_TOKEN, "EncodingType"}  # noqa: PLR2004
        ):
            self._text = []

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        name = name.rpartition(":")[2]
        if self._text is not None:
            text, self._text = "".join(self._text), None
            if self._object is not None:
                self._object[name] = text
            elif name == NEXT_TOKEN:
                self.token = text
            else:
                self._encoded = text == "url"
        elif self._object is not None and self._depth == 1:
            self._found.append(self._object)
            self._object = None
