"""Damage to the lab's source that nothing undoes: what level 4 is for.

Changes when another kind of damage has to be shown. A fault ends when it is healed; damage stays
until the source was recovered or the lab is made anew.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from failback.errors import LabError
from failback.lab.objects import BUCKETS, ObjectServer
from failback.lab.postgres import PostgresServer
from failback.lab.spec import DATABASE

PAGE_BYTES = 8192
_TABLE = ("public", "documents")
_INDEX = ("public", "document_revisions_document_idx")
_SPOILT = b"\xde\xad" * 64
_INTO_THE_PAGE = 4096
"""Beyond a page's head and the pointers to its rows: what lies there are rows or entries."""


class Damaged(Protocol):
    """What damage is done to."""

    @property
    def source(self) -> PostgresServer:
        """The source's database."""

    @property
    def source_objects(self) -> ObjectServer | None:
        """The source's buckets; None where the lab has none."""

    @property
    def backups(self) -> Path:
        """The folder that has a folder of backups for each estate."""


def _drop_schema(lab: Damaged) -> None:
    _run(lab, sql.SQL("DROP SCHEMA auth CASCADE"))


def _drop_table(lab: Damaged) -> None:
    _run(lab, sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*_TABLE)))


def _corrupt_index(lab: Damaged) -> None:
    corrupt(lab.source, DATABASE, *_INDEX, page=1)


def _corrupt_heap(lab: Damaged) -> None:
    corrupt(lab.source, DATABASE, *_TABLE, page=0)


def _delete_bucket(lab: Damaged) -> None:
    if lab.source_objects is None:
        raise LabError("This lab has no buckets.", "Start it with `failback lab up --system`.")
    # By its own door: a server remembers folders for a while that are gone below it.
    delete_bucket(lab.source_objects, BUCKETS[0])


def _lose_source(lab: Damaged) -> None:
    lab.source.remove()


def _spoil_backup(lab: Damaged) -> None:
    newest = newest_backup(lab.backups)
    largest = max(
        (path for path in newest.rglob("*") if path.is_file() and path.suffix != ".json"),
        key=lambda path: path.stat().st_size,
    )
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size // 2)


DAMAGES: dict[str, tuple[str, tuple[str, ...], Callable[[Damaged], None]]] = {
    "drop-auth": ("the source's schema auth is dropped", (), _drop_schema),
    "drop-table": ("the source's table public.documents is dropped", (), _drop_table),
    "corrupt-index": ("a page of an index of the source is overwritten", (), _corrupt_index),
    "corrupt-heap": ("a page of a table of the source is overwritten", (), _corrupt_heap),
    "delete-bucket": (f"the source's bucket {BUCKETS[0]} is deleted", (), _delete_bucket),
    "lose-source": (
        "the source's whole cluster is deleted, and stays away",
        ("source-database",),
        _lose_source,
    ),
    "unreadable-backup": ("half of the newest backup's largest part is gone", (), _spoil_backup),
}
"""What each kind of damage is, the parts that stay down after it, and what does it."""


def damage(name: str, lab: Damaged) -> None:
    """Do some damage. Nothing undoes it.

    Args:
        name: a key of `DAMAGES`.
        lab: what it is done to.

    Raises:
        LabError: it cannot be done; what is there may be damaged all the same.
    """
    try:
        DAMAGES[name][2](lab)
    except (OSError, psycopg.Error) as error:
        raise LabError(f"The damage {name} could not be done: {error}") from error


def corrupt(server: PostgresServer, database: str, schema: str, relation: str, page: int) -> None:
    """Overwrite a page of a table or an index, as a bad disk would; the server is restarted.

    Its checksum does not hold any more, which the next one who reads the page is told.

    Args:
        server: a server that runs; started again by whoever called.
        database: where the relation is.
        schema: the relation's.
        relation: a table or an index.
        page: its number; the last one of the relation where it has fewer.

    Raises:
        LabError: the relation has no page.
    """
    # Without this a later checkpoint could write a sound copy of the page over it.
    path, pages = _file_of(server, database, schema, relation)
    server.stop()
    file = server.home / "data" / path
    number = min(page, pages - 1)
    if number < 0:
        raise LabError(f"{schema}.{relation} is empty: there is nothing to damage.")
    with file.open("r+b") as pages_of_it:
        pages_of_it.seek(number * PAGE_BYTES + _INTO_THE_PAGE)
        pages_of_it.write(_SPOILT)
    server.start()


def delete_bucket(server: ObjectServer, bucket: str) -> None:
    """Delete a bucket with every object in it; one that is not there counts as deleted.

    Raises:
        LabError: the server refused.
    """
    # Slow to import, and only wanted here.
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    endpoint = server.endpoint
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint["url"],
        region_name=endpoint["region"],
        aws_access_key_id=endpoint["access_key"],
        aws_secret_access_key=endpoint["secret_key"],
    )
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                client.delete_object(Bucket=bucket, Key=one["Key"])
        client.delete_bucket(Bucket=bucket)
    except client.exceptions.NoSuchBucket:
        return
    except (BotoCoreError, ClientError) as error:
        raise LabError(f"The bucket {bucket} could not be deleted: {error}") from error
    finally:
        client.close()


def newest_backup(folder: Path) -> Path:
    """The folder of the newest finished backup.

    Raises:
        LabError: there is none.
    """
    finished = sorted(folder.glob("*/*/manifest.json"), key=lambda path: path.parent.name)
    if not finished:
        raise LabError(f"There is no backup in {folder}.", "Take one: `failback backup now`.")
    return finished[-1].parent


def _file_of(server: PostgresServer, database: str, schema: str, relation: str) -> tuple[str, int]:
    """A relation's file below the data folder, and how many pages it has."""
    name = sql.Identifier(schema, relation).as_string()
    with psycopg.connect(server.admin_dsn(database), autocommit=True) as session:
        session.execute("CHECKPOINT")
        path, size = session.execute(
            "SELECT pg_relation_filepath(%(name)s::regclass), pg_relation_size(%(name)s::regclass)",
            {"name": name},
        ).fetchall()[0]
    return str(path), int(size) // PAGE_BYTES


def _run(lab: Damaged, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(lab.source.admin_dsn(DATABASE), autocommit=True) as session:
        session.execute(statement)
