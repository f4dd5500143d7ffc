"""Bad input of an estate that is not armed: told with cause and cure, and nothing is changed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from failback.lab.processes import free_port

from support.lab_run import Answer, LabRun, command, command_here
from support.snapshot import differences, snapshot

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Change = Callable[[dict[str, Any]], object]
Configure = Callable[[Change], Path]


@pytest.fixture
def lab(shared_lab: LabRun) -> Iterator[LabRun]:
    """The module's lab, which each test leaves as it was."""
    before = snapshot(shared_lab)
    yield shared_lab
    assert differences(before, snapshot(shared_lab)) == []


@pytest.fixture
def configure(lab: LabRun, tmp_path: Path) -> Configure:
    """Writes the lab's configuration with one thing changed."""

    def changed(change: Change) -> Path:
        document = yaml.safe_load(Path(lab.facts["config"]).read_text(encoding="utf-8"))
        change(document)
        path = tmp_path / "failback.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    return changed


@contextlib.contextmanager
def done(lab: LabRun, side: str, statement: str, undo: str) -> Iterator[None]:
    """A superuser's change of one side, taken back afterwards."""
    with lab.admin(side) as connection:
        connection.execute(sql.SQL(statement))  # type: ignore[arg-type]
        try:
            yield
        finally:
            connection.execute(sql.SQL(undo))  # type: ignore[arg-type]


def role_of(lab: LabRun, side: str) -> str:
    return str(conninfo_to_dict(lab.facts[side]["dsn"])["user"])


def refused(lab: LabRun, config: Path | str, *words: str, code: int = 1) -> dict[str, str]:
    """A command that must fail, for programs and for people, and change nothing."""
    before = snapshot(lab)
    for_programs = command_here("--config", str(config), *words, "--json")
    for_people = command_here("--config", str(config), *words)
    assert differences(before, snapshot(lab)) == []
    assert (for_programs.code, for_people.code) == (code, code), for_programs
    error: dict[str, str] = for_programs.facts["error"]
    assert error["cause"].endswith((".", "?"))
    assert error["cure"]
    assert flat(error["cause"]) in flat(for_people.errors)
    assert "Traceback" not in for_programs.errors + for_people.errors
    return error


def left_out(lab: LabRun, table: str) -> dict[str, str]:
    """What arming says of a table that cannot be carried over; it stops no other table."""
    try:
        answer = command_here("--config", lab.facts["config"], "arm", "--no-continuous", "--json")
        assert answer.code == 1, answer
        assert table not in answer.facts["tables"]
        assert len(answer.facts["tables"]) > 5
        (problem,) = answer.facts["problems"]
        assert problem["table"] == table
        return dict(problem)
    finally:
        assert (
            command_here("--config", lab.facts["config"], "disarm", "--without-temporal").code == 0
        )


def flat(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("rollback", "list"), 0),
        (("sync", "status"), 1),
        (("rollback", "start", "--level", "7", "--reason", "errors"), 2),
    ],
)
def test_command_as_a_process_then_it_answers_as_it_does_in_this_one(
    lab: LabRun, words: tuple[str, ...], code: int
) -> None:
    for form in ((), ("--json",)):
        line = ("--config", lab.facts["config"], *words, *form)
        alone = command(*line)
        assert alone.code == code
        assert alone == command_here(*line)


def test_pattern_that_matches_no_table_when_armed_then_it_is_named(
    lab: LabRun, configure: Configure
) -> None:
    config = configure(
        lambda document: document["data"]["tables"]["include"].append("sales.orders")
    )
    error = refused(lab, config, "arm", code=2)
    assert error["type"] == "UnknownTablePatternError"
    assert "sales.orders" in error["cause"]


def test_partitioned_table_without_a_key_when_armed_then_it_is_refused_by_name(
    lab: LabRun,
) -> None:
    create = (
        "CREATE TABLE public.keyless (a int) PARTITION BY LIST (a);"
        " ALTER TABLE public.keyless OWNER TO {}"
    )
    with contextlib.ExitStack() as opened:
        for side, owner in (("source", "postgres"), ("target", "app_owner")):
            drop = "DROP TABLE public.keyless"
            opened.enter_context(done(lab, side, create.format(owner), drop))
        problem = left_out(lab, "public.keyless")
        check = command_here("--config", lab.facts["config"], "check", "--json")
    assert "has no primary key" in problem["problem"]
    assert "ADD PRIMARY KEY" in problem["cure"]
    assert any(
        finding["answer"] == "no" and "public.keyless" in finding["detail"]
        for finding in check.facts["findings"]
    )


def test_role_without_replication_when_a_slot_is_asked_for_then_the_grant_is_told(
    lab: LabRun,
) -> None:
    role = role_of(lab, "target")
    with done(lab, "target", f"ALTER ROLE {role} NOREPLICATION", f"ALTER ROLE {role} REPLICATION"):
        error = refused(lab, lab.facts["config"], "arm", "--capture", "slot")
        check = command_here("--config", lab.facts["config"], "check", "--json")
    assert error["type"] == "MissingRightError"
    assert f"ALTER ROLE {role} REPLICATION" in error["cure"]
    # Arming would not be stopped by it: the check says by what way, and what a slot would need.
    (captured,) = (
        finding
        for finding in check.facts["findings"]
        if finding["question"] == "changes of the target can be captured"
    )
    assert captured["answer"] == "yes"
    assert captured["detail"].startswith("changelog: ")
    assert f"ALTER ROLE {role} REPLICATION" in captured["detail"]


def test_table_of_somebody_else_when_armed_then_its_owner_is_told(lab: LabRun) -> None:
    with done(
        lab,
        "target",
        "CREATE ROLE stranger; GRANT ALL ON SCHEMA public TO stranger;"
        " ALTER TABLE public.documents OWNER TO stranger",
        "ALTER TABLE public.documents OWNER TO app_owner;"
        " REVOKE ALL ON SCHEMA public FROM stranger; DROP ROLE stranger",
    ):
        error = refused(lab, lab.facts["config"], "arm")
    assert error["type"] == "MissingRightError"
    assert "public.documents" in error["cause"]
    assert "GRANT stranger TO" in error["cure"]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("words", [("arm",), ("sync", "run"), ("sync", "verify"), ("disarm",)])
def test_server_that_is_not_there_when_asked_then_it_is_told_which(
    lab: LabRun, configure: Configure, side: str, words: tuple[str, ...]
) -> None:
    def moved(document: dict[str, Any]) -> None:
        dsn = make_conninfo(document[side]["dsn"], port=free_port())
        document[side]["dsn"] = dsn

    error = refused(lab, configure(moved), *words)
    assert error["type"] == "UnreachableError"
    assert side in error["cause"]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("words", [("arm",), ("sync", "status")])
def test_password_that_is_wrong_when_used_then_it_is_told_and_not_repeated(
    lab: LabRun, configure: Configure, side: str, words: tuple[str, ...]
) -> None:
    def forgotten(document: dict[str, Any]) -> None:
        document[side]["dsn"] = make_conninfo(document[side]["dsn"], password="planted-password")

    error = refused(lab, configure(forgotten), *words)
    assert error["type"] == "CredentialsError"
    assert side in error["cause"]
    assert "planted-password" not in str(error)


def test_source_that_lacks_a_column_when_armed_then_the_statement_that_adds_it_is_told(
    lab: LabRun,
) -> None:
    with done(
        lab,
        "target",
        "ALTER TABLE public.documents ADD COLUMN language text",
        "ALTER TABLE public.documents DROP COLUMN language",
    ):
        problem = left_out(lab, "public.documents")
    assert "lacks the column language" in problem["problem"]
    assert "ALTER TABLE" in problem["cure"]
    assert "ADD COLUMN" in problem["cure"]


@pytest.mark.parametrize(
    ("level", "code", "told"),
    [
        ("0", 2, "Level 0 does not exist"),
        ("5", 2, "Level 5 does not exist"),
        ("-1", 2, "Level -1 does not exist"),
        ("two", 2, "--level"),
    ],
)
def test_level_out_of_range_when_started_then_nothing_is_started(
    lab: LabRun, level: str, code: int, told: str
) -> None:
    words = ("rollback", "start", "--level", level, "--reason", "errors")
    assert told in refused(lab, lab.facts["config"], *words, code=code)["cause"]
    listed = command_here("--config", lab.facts["config"], "rollback", "list", "--json")
    assert listed.facts == {"rollbacks": []}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is no journal\n",
        b'{"journal": "something-else", "version": 1, "started_at": "2026-01-01T00:00:00Z"}\n',
        b'{"journal": "failback-load", "version": 99, "started_at": "2026-01-01T00:00:00Z"}\n',
        b"\x00\xff\xfe binary",
    ],
    ids=["empty", "text", "other", "newer", "binary"],
)
def test_journal_that_is_none_when_audited_then_it_is_told_and_left_alone(
    lab: LabRun, tmp_path: Path, content: bytes
) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(content)
    words = ["audit"]
    if content:
        # An empty file is a fine place for a new journal.
        words.append("load")
    for word in words:
        answer = command_here("lab", word, "--dir", lab.lab, "--journal", str(journal), "--json")
        assert_refused(answer, "JournalError", str(journal))
        assert journal.read_bytes() == content


def test_journal_that_is_not_there_when_audited_then_it_is_told(
    lab: LabRun, tmp_path: Path
) -> None:
    missing = tmp_path / "none.jsonl"
    answer = command_here("lab", "audit", "--dir", lab.lab, "--journal", str(missing), "--json")
    assert_refused(answer, "JournalError", str(missing))
    assert not missing.exists()


def assert_refused(answer: Answer, kind: str, told: str) -> None:
    assert answer.code == 1, answer
    error = answer.facts["error"]
    assert error["type"] == kind
    assert told in error["cause"]
    assert error["cure"]
