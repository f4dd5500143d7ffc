"""Which user the servers run as, and which folders that user may enter."""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from failback.errors import LabError

_PREFIX = "failback-"
_ORIGIN = ".stands-for"


@dataclass(frozen=True)
class Account:
    """A user and its group, as numbers; `drops` tells whether a server has to change to it."""

    uid: int
    gid: int
    name: str
    drops: bool


def server_account() -> Account:
    """The user that servers run as: ourselves, or `nobody` when we are root.

    Postgres refuses root, and nothing else in the lab needs it.
    """
    if os.geteuid() != 0:
        uid = os.geteuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        return Account(uid, os.getegid(), name, drops=False)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise LabError(
            "Servers of the lab refuse to run as root, and there is no user `nobody` here.",
            "Run the lab as an ordinary user.",
        ) from error
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, drops=True)


def may_enter(path: Path, account: Account) -> bool:
    """Whether the user may enter a folder and every parent of it; missing ones are skipped."""
    path = path.absolute()
    return all(_searchable(folder, account) for folder in (path, *path.parents))


def _searchable(folder: Path, account: Account) -> bool:
    try:
        facts = folder.stat()
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    if facts.st_uid == account.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == account.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def open_places(account: Account) -> tuple[Path, ...]:
    """Folders for temporary data that the user may enter, best first."""
    candidates = (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp"))
    return tuple(place for place in candidates if place.is_dir() and may_enter(place, account))


def private_folder(path: Path, account: Account) -> Path:
    """Make a folder that only the user may enter, or take it over from an earlier run.

    Raises:
        LabError: something else is there, or it belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in {account.uid, os.geteuid()}:
            raise LabError(
                f"{path} is there already and is not a folder of ours.", "Remove it."
            ) from None
    if path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)
    return path


def server_folder(directory: Path, account: Account, longest: int | None = None) -> Path:
    """Where a server's files lie: its directory, or a temporary folder that stands for it.

    The temporary folder is taken when the user may not enter the directory (a clone below
    /root, say), or when its path has more bytes than `longest`. It is the same one each time.

    Raises:
        LabError: the user may enter no temporary folder either.
    """
    directory = directory.absolute()
    reachable = not account.drops or may_enter(directory, account)
    if reachable and (longest is None or len(os.fsencode(directory)) <= longest):
        return directory
    places = open_places(account)
    if not places:
        raise LabError(
            f"User {account.name} may enter neither {directory} nor /tmp.",
            "Choose a folder whose every parent that user may enter.",
        )
    return places[0] / f"{_PREFIX}{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"


def prepared_folder(directory: Path, account: Account, longest: int | None = None) -> Path:
    """Make the folder of `server_folder`, private to the user, linked from the directory.

    Raises:
        LabError: something else is in its place.
    """
    folder = server_folder(directory, account, longest)
    directory.mkdir(parents=True, exist_ok=True)
    private_folder(folder, account)
    if folder != directory.absolute():
        write_private(folder / _ORIGIN, str(directory.absolute()))
        link = directory / "home"
        if not link.is_symlink():
            link.symlink_to(folder)
        _sweep(folder.parent)
    return folder


def remove_folder(directory: Path, account: Account, longest: int | None = None) -> None:
    """Delete a server's files, wherever they lie; see `server_folder`."""
    shutil.rmtree(server_folder(directory, account, longest), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Delete our temporary folders whose directory was deleted without `down --purge`."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            mark = folder / _ORIGIN
            if mark.lstat().st_uid == os.geteuid() and not Path(mark.read_text()).exists():
                shutil.rmtree(folder)


def write_for(account: Account, path: Path, text: str) -> None:
    """Write a file that only the user may read, in one step."""
    draft = _draft(path, text)
    if account.drops:
        os.chown(draft, account.uid, account.gid)
    draft.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, in one step."""
    _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    # Created for us alone: it is never readable by others, not even before it is complete.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return draft
