"""A foreign schema with data: armed, changed at random, synced, compared by other means."""

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from support.lab_run import LabRun

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CHINOOK = Path(__file__).parents[3] / "shared" / "datasets" / "chinook.sql"
CHANGES = 5000
COPY = sql.SQL("COPY (SELECT {columns} FROM {table} ORDER BY {columns}) TO STDOUT")


def content(connection: "psycopg.Connection[Any]", table: str, columns: list[str]) -> bytes:
    """A table's rows as text, in an order that both servers agree on."""
    statement = COPY.format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=sql.Identifier(table)
    )
    with connection.cursor().copy(statement) as rows:
        return b"".join(bytes(block) for block in rows)


def columns_of(connection: "psycopg.Connection[Any]") -> dict[str, list[str]]:
    """Columns by table of schema public, sorted by name."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name::text, column_name::text FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2"
    ):
        found.setdefault(table, []).append(column)
    return found


def change_at_random(connection: "psycopg.Connection[Any]", changes: int) -> None:
    """Inserts, updates and deletes on tables with keys of several kinds."""
    dice = random.Random(20260301)
    tracks = [row[0] for row in connection.execute("SELECT track_id FROM track")]
    for number in range(changes):
        kind = dice.randrange(5)
        track = dice.choice(tracks)
        if kind == 0:
            connection.execute(
                "INSERT INTO artist (artist_id, name) VALUES (%s, %s)",
                (100_000 + number, f"Künstler {number}"),
            )
        elif kind == 1:
            connection.execute(
                "UPDATE track SET unit_price = %s, composer = %s WHERE track_id = %s",
                (dice.randrange(999) / 100, f"Composer {number}", track),
            )
        elif kind == 2:
            connection.execute("DELETE FROM invoice_line WHERE track_id = %s", (track,))
        elif kind == 3:
            connection.execute(
                "DELETE FROM playlist_track WHERE track_id = %s AND playlist_id ="
                " (SELECT min(playlist_id) FROM playlist_track WHERE track_id = %s)",
                (track, track),
            )
        else:
            connection.execute(
                "UPDATE invoice SET invoice_date = invoice_date + interval '1 day',"
                " billing_city = %s WHERE invoice_id = %s",
                (f"Ville {number}", dice.randrange(1, 413)),
            )


@pytest.mark.skipif(not CHINOOK.exists(), reason="the shared data set chinook.sql is not here")
def test_chinook_when_changed_at_random_then_both_sides_are_equal_by_any_means(
    lab: LabRun,
) -> None:
    lab.lab_command("load-sql", str(CHINOOK))
    lab.run("arm", "--no-continuous")
    with lab.admin("target") as target:
        change_at_random(target, CHANGES)
    lab.run("sync", "run")
    verified = lab.run("sync", "verify")

    assert len([t for t in verified["tables"] if t["table"].startswith("public.")]) >= 11
    for table in verified["tables"]:
        assert (table["missing"], table["extra"], table["different"]) == (0, 0, 0), table
    with lab.admin("source") as source, lab.admin("target") as target:
        tables = columns_of(target)
        assert columns_of(source) == tables
        for table, columns in tables.items():
            assert content(source, table, columns) == content(target, table, columns), table
        with target.transaction(), target.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE artist SET name = 'changed' WHERE artist_id = 1")
    lab.run("sync", "run")
    assert lab.run("sync", "verify")["outcome"] == "succeeded"
