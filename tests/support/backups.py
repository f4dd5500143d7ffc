"""An estate with backups, and ways to damage one as its owner or somebody else would."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from failback import certificates
from failback.backup_ports import Backups
from failback.config import load
from failback.models.backups import BackedUpTable, BackupManifest, BackupPart, PartKind
from failback.models.common import Side
from failback.providers.backup import open_backups
from failback.providers.backup.shelf import ID_TIME
from failback.providers.backup.signing import Trust, sealed

CONFIGURATION = """
estate: {estate}
source: {{dsn: "{dsn}"}}
target: {{dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}}
traffic:
  balancer: {{runtime_api: "tcp://127.0.0.1:1"}}
  routes: {{database: [{{backend: database}}]}}
certificates: {{signing_key: "{key}", directory: "{folder}"}}
business_rules:
  - {{name: no order without a customer, sql: "SELECT id FROM orders WHERE customer IS NULL"}}
backup:
  folder: "{folder}/store"
  parallel: 2
"""


Write = Callable[..., Path]
"""Writes a configuration into a folder, with more lines at the end of its section `backup`."""


@dataclass(frozen=True)
class Shelved:
    """One backup in a folder, with the key that signed it."""

    folder: Path
    """The store's."""
    estate: str
    id: str
    key: Path

    @property
    def home(self) -> Path:
        return self.folder / self.estate / self.id

    @property
    def trust(self) -> Trust:
        return Trust(certificates.read_signing_key(self.key))

    @property
    def manifest(self) -> BackupManifest:
        text = (self.home / "manifest.json").read_text()
        return BackupManifest.model_validate(json.loads(text)["facts"])

    def seal(self, manifest: BackupManifest, trust: Trust | None = None) -> None:
        """Write another manifest, signed as the owner or somebody else signs."""
        (self.home / "manifest.json").write_bytes(sealed(manifest, trust or self.trust))

    def copied(self, folder: Path) -> "Shelved":
        shutil.copytree(self.folder, folder)
        return Shelved(folder, self.estate, self.id, self.key)

    def dumped_again(self, programs: Path, dsn: str, options: Sequence[str] = ()) -> None:
        """Put another dump in the place of this one, under a manifest that names its parts.

        So a dump looks whose bytes are as they were written, and which never held everything.
        """
        shutil.rmtree(self.home / "database")
        subprocess.run(
            [
                programs / "pg_dump",
                f"--dbname={dsn}",
                "--format=directory",
                f"--file={self.home / 'database'}",
                *options,
            ],
            check=True,
        )
        manifest = self.manifest
        kept = tuple(one for one in manifest.parts if one.kind is not PartKind.DATABASE)
        parts = tuple(part(self.home, path) for path in sorted((self.home / "database").iterdir()))
        self.seal(manifest.model_copy(update={"parts": (*kept, *parts)}))

    def cut_a_row(self, rows: int) -> str:
        """Take one row out of the dump's file of the table that has so many; returns the row.

        The file is a whole one of its format, and the manifest is left as it was.
        """
        for path in sorted((self.home / "database").glob("*.dat.gz")):
            lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
            # The data end with a line of their own, and an empty one.
            if lines.index(b"\\.\n") == rows:
                path.write_bytes(gzip.compress(b"".join(lines[1:])))
                return lines[0].decode()
        raise AssertionError(f"no table of the dump has {rows} rows")

    def told_of_its_parts(self) -> BackupManifest:
        """Its manifest, with the parts as they are now."""
        manifest = self.manifest
        parts = tuple(
            one.model_copy(update={"bytes": len(data), "sha256": sha256(data).hexdigest()})
            for one in manifest.parts
            for data in [(self.home / one.name).read_bytes()]
        )
        return manifest.model_copy(update={"parts": parts})


def part(home: Path, path: Path) -> BackupPart:
    data = path.read_bytes()
    return BackupPart(
        name=path.relative_to(home).as_posix(),
        kind=PartKind.DATABASE,
        bytes=len(data),
        sha256=sha256(data).hexdigest(),
    )


def shelved(folder: Path, key: Path, number: int, estate: str = "shop") -> Shelved:
    """A backup as small as one can be, of the hour with this number, that was never a dump."""
    at = datetime(2026, 1, 1, number, tzinfo=UTC)
    made = Shelved(folder, estate, f"{at.strftime(ID_TIME)}-{number:06x}", key)
    toc = made.home / "database" / "toc.dat"
    toc.parent.mkdir(parents=True)
    toc.write_bytes(b"contents")
    made.seal(
        BackupManifest(
            id=made.id,
            estate=estate,
            side=Side.SOURCE,
            database="app",
            taken_at=at,
            completed_at=at,
            software="failback 0",
            server_version="16.1",
            server_major=16,
            position="0/1",
            snapshot="1:1:",
            schema_fingerprint="",
            hash_probe=1,
            tables=(BackedUpTable(table="public.orders", rows=3, digest="0" * 32),),
            parts=(part(made.home, toc),),
        )
    )
    return made


def opened(path: Path) -> Backups:
    """The backups that a configuration file describes."""
    return open_backups(load(path), path)
