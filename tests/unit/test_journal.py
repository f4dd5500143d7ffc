"""The journal outlasts its writer, and nothing else passes for one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from failback.errors import JournalError
from failback.lab.journal import JournalWriter, WriteKind, WriteOutcome, read
from failback.models.common import Side


def acknowledge(writer: JournalWriter, key: str, value: str | None) -> None:
    kind = WriteKind.DELETE if value is None else WriteKind.PUT
    record = writer.sent(kind, key, value)
    writer.settled(record, WriteOutcome.ACKNOWLEDGED, side=Side.TARGET, milliseconds=1.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "journal.jsonl"
    with JournalWriter(path, api_url="http://127.0.0.1:1") as writer:
        acknowledge(writer, "lab_writes/a", "one")
        acknowledge(writer, "lab_writes/a", None)
    return path


def test_journal_when_read_back_has_every_write_in_order(path: Path) -> None:
    journal = read(path)
    assert journal.header.api_url == "http://127.0.0.1:1"
    assert [(r.sequence, r.kind, r.key, r.value) for r in journal.records] == [
        (1, WriteKind.PUT, "lab_writes/a", "one"),
        (2, WriteKind.DELETE, "lab_writes/a", None),
    ]
    assert journal.count(WriteOutcome.ACKNOWLEDGED) == 2
    assert journal.records[0].side is Side.TARGET
    assert journal.records[0].milliseconds == 1.5


def test_header_is_the_first_line_and_says_what_the_file_is(path: Path) -> None:
    header = json.loads(path.read_text().splitlines()[0])
    assert (header["journal"], header["version"]) == ("failback-load", 1)


def test_write_that_was_sent_and_never_answered_is_unknown(path: Path) -> None:
    with JournalWriter(path) as writer:
        writer.sent(WriteKind.PUT, "lab_writes/b", "two")
    assert read(path).records[-1].outcome is WriteOutcome.UNKNOWN


def test_last_line_when_torn_is_left_out(path: Path) -> None:
    whole = read(path)
    content = path.read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last + 1, len(content)):
        path.write_bytes(content[:end])
        journal = read(path)
        assert journal.records[0] == whole.records[0]
        assert journal.records[1].outcome is WriteOutcome.UNKNOWN


def test_journal_when_continued_after_a_torn_line_is_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"sequence": 3, "ti')
    with JournalWriter(path) as writer:
        acknowledge(writer, "lab_writes/c", "three")
    assert [record.sequence for record in read(path).records] == [1, 2, 3]


def test_acknowledged_writes_when_the_writer_is_killed_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    program = """
import sys
from pathlib import Path
from failback.lab.journal import JournalWriter, WriteKind, WriteOutcome
writer = JournalWriter(Path(sys.argv[1]))
for number in range(10**9):
    record = writer.sent(WriteKind.PUT, f"lab_writes/{number}", "x")
    writer.settled(record, WriteOutcome.ACKNOWLEDGED, side=None, milliseconds=1)
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(200):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        reported = 200 + len([line for line in process.stdout if line.endswith("\n")])
    assert read(path).count(WriteOutcome.ACKNOWLEDGED) >= reported


HEADER = '{"journal": "failback-load", "version": 1, "started_at": "2026-01-01T00:00:00Z"}\n'
RECORD = (
    '{"sequence": 1, "time": "2026-01-01T00:00:00Z", "kind": "put", "key": "lab_writes/a",'
    ' "value": "x", "outcome": "acknowledged"}\n'
)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "no whole line"),
        (HEADER.rstrip("\n"), "no whole line"),
        ("key,value\na,1\n", "Line 1 of .* is not JSON"),
        ("[1]\n", "not a JSON object"),
        ('{"hello": "world"}\n', "first line does not say"),
        (HEADER.replace("1,", "2,"), "version 2"),
        (HEADER.replace("2026-01-01T00:00:00Z", "soon"), "header .* damaged: started_at"),
        (HEADER + "torn in the middle\n" + RECORD, "Line 2 of .* is not JSON"),
        (HEADER + RECORD.replace('"put"', '"steal"'), "Line 2 of .* no record .*: kind"),
        (HEADER + RECORD.replace('"acknowledged"', '"perhaps"'), "outcome"),
        (HEADER + RECORD + RECORD.replace('"x"', '"y"'), "sequence number 1 again"),
        ("\x00\x01\x02\n", "not JSON"),
    ],
)
def test_file_that_is_no_journal_is_refused_with_cause_and_cure(
    tmp_path: Path, content: str, cause: str
) -> None:
    path = tmp_path / "journal"
    path.write_text(content)
    with pytest.raises(JournalError, match=cause) as caught:
        read(path)
    assert caught.value.cure
    if content:
        with pytest.raises(JournalError, match=cause):
            JournalWriter(path)
        assert path.read_text() == content


def test_journal_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="There is no journal"):
        read(tmp_path / "none")
    with pytest.raises(JournalError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(JournalError):
        JournalWriter(tmp_path)
