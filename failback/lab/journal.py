"""The load's journal: every write that was sent, and what its client was told about it.

A journal is a file of JSON lines. The first one is a header; each other one is a record. A
write is recorded twice under one sequence number: as `sent` before it leaves, and with its
outcome when the answer is there. So whoever is killed between the two leaves a write whose
outcome is unknown, never one that nobody knows of.
"""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from failback.errors import JournalError
from failback.models.common import Payload, Side

NAME = "failback-load"
VERSION = 1

_CURE = "Name the file that `failback lab load --journal FILE` wrote."


class WriteKind(StrEnum):
    """What a write does to its key."""

    PUT = "put"
    DELETE = "delete"


class WriteOutcome(StrEnum):
    """What the client knows about a write."""

    SENT = "sent"
    """Nothing yet."""
    ACKNOWLEDGED = "acknowledged"
    """The service said that it is done."""
    REFUSED = "refused"
    """The service said that it is not done."""
    UNKNOWN = "unknown"
    """No answer came, or one that promises neither: it may be done, or not."""


class JournalHeader(Payload):
    """The first line of a journal."""

    journal: str
    version: int
    started_at: datetime
    api_url: str = ""


class WriteRecord(Payload):
    """One write, as its client knows it."""

    sequence: int
    """Grows with every write; orders the writes of one key, of which one is in flight at most."""
    time: datetime
    """When the outcome was known (for `sent`: when it left), UTC."""
    kind: WriteKind
    key: str
    """`table/identifier`, such as `lab_writes/…`, `documents/…` or `objects/bucket/name`."""
    value: str | None = None
    """What the key holds afterwards, of an object digest and bytes; None for a deletion."""
    outcome: WriteOutcome
    side: Side | None = None
    """The side that answered, as it says itself; None when none did."""
    milliseconds: float | None = None
    """From sending to the answer."""


class Journal(Payload):
    """A journal as it was read: one record for each write, in order."""

    header: JournalHeader
    records: tuple[WriteRecord, ...]

    def count(self, outcome: WriteOutcome) -> int:
        """How many writes have this outcome."""
        return sum(record.outcome is outcome for record in self.records)


class JournalWriter:
    """Appends to a journal; what was appended outlasts the end of the process, however it ends.

    Each line is handed to the operating system before the call returns. (A crash of the whole
    machine may lose the last moments; the load is no database.)

    Args:
        path: the file; a journal that is there already is continued.
        api_url: where the writes go, for the header.

    Raises:
        JournalError: the file is something else, or cannot be written.
    """

    def __init__(self, path: Path, *, api_url: str = "") -> None:
        self._path = path
        self._next = 1
        try:
            exists = path.exists() and path.stat().st_size > 0
            if exists:
                known = read(path).records
                self._next = known[-1].sequence + 1 if known else 1
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        if exists:
            self._cut_torn_line()
        else:
            header = JournalHeader(
                journal=NAME, version=VERSION, started_at=datetime.now(UTC), api_url=api_url
            )
            self._append(header.model_dump(mode="json"))

    def sent(self, kind: WriteKind, key: str, value: str | None) -> WriteRecord:
        """Record that a write is about to leave."""
        record = WriteRecord(
            sequence=self._next,
            time=datetime.now(UTC),
            kind=kind,
            key=key,
            value=value,
            outcome=WriteOutcome.SENT,
        )
        self._next += 1
        self._write(record)
        return record

    def settled(
        self,
        record: WriteRecord,
        outcome: WriteOutcome,
        *,
        side: Side | None,
        milliseconds: float,
    ) -> WriteRecord:
        """Record what the client was told about a write that was sent."""
        known = record.model_copy(
            update={
                "outcome": outcome,
                "side": side,
                "time": datetime.now(UTC),
                "milliseconds": round(milliseconds, 3),
            }
        )
        self._write(known)
        return known

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, record: WriteRecord) -> None:
        line = {
            "sequence": record.sequence,
            "time": record.time.isoformat(),
            "kind": record.kind.value,
            "key": record.key,
            "value": record.value,
            "outcome": record.outcome.value,
        }
        if record.outcome is not WriteOutcome.SENT:
            line |= {"side": record.side, "milliseconds": record.milliseconds}
        self._append(line)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _cut_torn_line(self) -> None:
        """Drop the end of a line that a killed writer left, so that the next one stands alone."""
        content = self._path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)


def read(path: Path) -> Journal:
    """Read a journal.

    A last line that was torn by a kill is left out; a write that has no outcome is `unknown`.

    Raises:
        JournalError: there is no such file, or it is not a journal; the text says why.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise JournalError(f"There is no journal {path}.", _CURE) from error
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read: {error}.", _CURE) from error
    lines = content.split(b"\n")
    # A whole file ends with a newline, so that the last part is empty; else it is torn.
    lines.pop()
    if not lines:
        raise JournalError(f"{path} is not a journal: it has no whole line.", _CURE)
    header = _header(path, lines[0])
    return Journal(header=header, records=_records(path, lines[1:]))


def _header(path: Path, line: bytes) -> JournalHeader:
    document = _object(path, 1, line)
    if document.get("journal") != NAME:
        raise JournalError(
            f'{path} is not a journal: its first line does not say "journal": "{NAME}".', _CURE
        )
    if document.get("version") != VERSION:
        raise JournalError(
            f"{path} is a journal of version {document.get('version')}; this failback reads "
            f"version {VERSION}.",
            "Read it with the failback that wrote it.",
        )
    try:
        return JournalHeader.model_validate(document)
    except ValidationError as error:
        raise JournalError(f"The header of {path} is damaged: {_first(error)}.", _CURE) from error


def _records(path: Path, lines: Iterable[bytes]) -> tuple[WriteRecord, ...]:
    known: dict[int, WriteRecord] = {}
    for number, line in enumerate(lines, start=2):
        try:
            record = WriteRecord.model_validate(_object(path, number, line))
        except ValidationError as error:
            raise JournalError(
                f"Line {number} of {path} is no record of a write: {_first(error)}.", _CURE
            ) from error
        sent = known.get(record.sequence)
        if sent is not None and (sent.key, sent.kind, sent.value) != (
            record.key,
            record.kind,
            record.value,
        ):
            raise JournalError(
                f"Line {number} of {path} uses the sequence number {record.sequence} again.",
                "Two loads wrote to one journal; audit each with a journal of its own.",
            )
        known[record.sequence] = record
    return tuple(
        record.model_copy(update={"outcome": WriteOutcome.UNKNOWN})
        if record.outcome is WriteOutcome.SENT
        else record
        for _, record in sorted(known.items())
    )


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise JournalError(f"Line {number} of {path} is not JSON.", _CURE) from error
    if not isinstance(document, dict):
        raise JournalError(f"Line {number} of {path} is not a JSON object.", _CURE)
    return document


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"The journal {path} cannot be written: {error.strerror or error}.",
        "Name a file in a folder that exists and may be written, with room on its disk.",
    )
