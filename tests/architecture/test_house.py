"""What the shape of the repository promises, as far as a machine can read it."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from failback.cli.app import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("failback", "workflows", "activities", "workers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PYTHON = sorted([*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "deploy").glob("*.py")])
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
LONGEST = 400
SPEAKING = ("failback/cli/", "failback/lab/")
"""Where `print` may stand: the command line, and programs of the lab that talk by a pipe."""

MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:root|home|work|Users)/|/tmp/[a-z]+/")
TEXTS = (
    *("README.md", "CHANGELOG.md", "Makefile", ".ci/run", "docker-compose.yml", "pyproject.toml"),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.sh")),
    *(str(path.relative_to(ROOT)) for path in PYTHON if path != Path(__file__)),
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


def test_import_contracts_then_all_are_kept() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_file_then_it_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_then_it_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_then_only_the_command_line_prints(path: Path) -> None:
    if name_of(path).startswith(SPEAKING):
        return
    printing = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_package_init_then_it_only_exports(path: Path) -> None:
    if path.name != "__init__.py":
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        assert isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign), name_of(path)


@pytest.mark.parametrize("path", TEXTS)
def test_text_then_it_names_no_place_of_one_machine(path: str) -> None:
    found = MACHINE_PATHS.findall((ROOT / path).read_text(encoding="utf-8"))
    assert found == []


def test_nothing_then_it_waits_for_a_later_day() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    late = [
        name_of(path)
        for path in PYTHON
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"#.*\b({'|'.join(words)})\b", line)
    ]
    assert late == []


def test_readme_then_every_target_that_it_names_exists(targets: set[str]) -> None:
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(
            r"(?:^|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert {"demo", "test"} <= named
    assert named <= targets


def test_makefile_then_help_lists_every_phony_target(targets: set[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == targets


def test_links_in_documents_then_each_leads_to_a_file() -> None:
    broken = [
        f"{name_of(document)}: {link}"
        for document in (ROOT / "CHANGELOG.md", *DOCUMENTS)
        for link in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert broken == []


def commands_in(text: str) -> list[str]:
    """Command lines of ours in blocks of shell and between backticks."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    words = re.findall(r"^(?:docker compose exec worker )?failback (.*)$", blocks, re.MULTILINE)
    return [*words, *re.findall(r"`failback ([a-z][^`]*)`", text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_in_a_document_then_each_is_one_of_ours(document: Path) -> None:
    for line in commands_in(document.read_text(encoding="utf-8")):
        command: Any = get_command(app)
        for word in line.split():
            if not hasattr(command, "list_commands") or not word.isascii() or word[0] in "-#":
                break
            command = command.get_command(None, word)
            assert command is not None, f"failback {line}"


def test_commands_in_the_runbooks_then_some_are_found() -> None:
    runbook = (ROOT / "docs" / "runbooks" / "level-2.md").read_text(encoding="utf-8")
    assert len(commands_in(runbook)) > 5
