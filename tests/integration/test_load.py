"""The load and its judge on a real product: nothing lost is said so, and a loss is found."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from failback.errors import ConfigurationError, JournalError, LabError, MissingRightError
from failback.lab import faults, load
from failback.lab.audit import audit
from failback.lab.databases import DatabasePair, PostgresPair
from failback.lab.journal import WriteKind, WriteOutcome, WriteRecord, read
from failback.lab.processes import wait_until
from failback.lab.tally import LoadProgress, LoadSummary
from failback.models.common import Side


class Products(Protocol):
    """What the fixtures of the product give (conftest.py)."""

    databases: DatabasePair
    anon_key: str

    def start(self, side: Side, *, seconds: float = 30) -> str: ...

    def url(self, side: Side) -> str: ...


async def loaded(products: Products, journal: Path, **options: Any) -> LoadSummary:
    settings: dict[str, Any] = {"users": 10, "rps": 100, "seconds": 3} | options
    return await load.run(
        products.url(Side.TARGET), journal=journal, anon_key=products.anon_key, **settings
    )


def last_puts(journal: Path, table: str) -> list[str]:
    """Identifiers of a table whose last write was an acknowledged put."""
    last: dict[str, WriteRecord] = {record.key: record for record in read(journal).records}
    return [
        key.partition("/")[2]
        for key, record in last.items()
        if key.startswith(f"{table}/")
        and (record.kind, record.outcome) == (WriteKind.PUT, WriteOutcome.ACKNOWLEDGED)
    ]


@pytest.mark.servers
async def test_load_when_audited_lost_nothing_and_after_each_damage_just_that(
    target_product: Products, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    seen: list[LoadProgress] = []
    summary = await loaded(target_product, journal, on_progress=seen.append)
    dsn = target_product.databases.target_dsn

    assert (summary.failed, summary.unknown, summary.refused) == (0, 0, 0), summary
    assert summary.requests == 300 + 10
    assert set(summary.by_side) == {"target"}
    assert summary.write_gap_seconds is None
    assert summary.latency_p50_ms is not None
    assert {progress.phase for progress in seen} == {"signing up", "running"}
    report = audit(journal, dsn)
    assert report.sentence == f"acknowledged: {summary.acknowledged}, lost: 0, wrong: 0"
    assert summary.acknowledged > 150
    tables = {record.key.partition("/")[0] for record in read(journal).records}
    assert tables == {"lab_writes", "documents", "users", "sessions"}

    damages = {
        "lab_writes": "DELETE FROM lab_writes WHERE key = %s",
        "documents": "UPDATE documents SET deleted_at = now() WHERE id = %s::uuid",
        "sessions": "DELETE FROM auth.sessions WHERE id = %s::uuid",
    }
    with psycopg.connect(target_product.databases.target_admin_dsn, autocommit=True) as database:
        for number, (table, damage) in enumerate(damages.items(), start=1):
            database.execute(damage, [last_puts(journal, table)[0]])
            report = audit(journal, dsn)
            assert (report.lost, report.wrong) == (number, 0), report
        spoil = "UPDATE lab_writes SET value = 'spoiled' WHERE key = %s"
        database.execute(spoil, [last_puts(journal, "lab_writes")[1]])
        report = audit(journal, dsn)
        assert (report.lost, report.wrong) == (len(damages), 1), report
        assert report.wrong_examples[0].found == "spoiled"


@pytest.mark.servers
async def test_load_while_the_product_is_broken_is_still_judged_right(
    target_product: Products, tmp_path: Path
) -> None:
    journal, url = tmp_path / "journal", target_product.url(Side.TARGET)

    def break_it(progress: LoadProgress) -> None:
        if progress.phase == "running" and not broken:
            broken.append(asyncio.get_running_loop().run_in_executor(None, apply, True))

    def apply(on: bool) -> None:
        faults.apply(url, faults.ERRORS, on)

    broken: list[asyncio.Future[None]] = []
    try:
        summary = await loaded(target_product, journal, on_progress=break_it)
    finally:
        apply(False)
    assert summary.failures["500 unexpected_failure"] > 10
    assert summary.unknown > 0
    report = audit(journal, target_product.databases.target_dsn)
    assert report.clean, report


@pytest.mark.servers
async def test_load_when_the_database_dies_under_it_is_still_judged_right(
    products: Products, postgres_pair: PostgresPair, tmp_path: Path
) -> None:
    products.start(Side.TARGET)
    journal = tmp_path / "journal"

    states: list[str] = []

    def crash(progress: LoadProgress) -> None:
        # In the main thread, because a server dies with the thread that started it.
        if progress.phase == "running" and progress.acknowledged > 100 and not states:
            postgres_pair.target.stop(immediate=True)
            states.append("down")
        elif states == ["down"] and progress.failed > 0:
            postgres_pair.target.start()
            states.append("up")

    try:
        summary = await loaded(products, journal, seconds=6, on_progress=crash)
    finally:
        if states == ["down"]:
            postgres_pair.target.start()
    assert states == ["down", "up"]
    assert summary.failures["503 database_unavailable"] > 0
    assert summary.longest_without_write_seconds > 0.05
    report = audit(journal, products.databases.target_dsn)
    assert report.clean, report


@pytest.mark.servers
async def test_load_when_the_side_is_fenced_counts_refusals_and_no_unknown(
    products: Products, tmp_path: Path
) -> None:
    products.start(Side.TARGET)
    journal = tmp_path / "journal"
    with psycopg.connect(products.databases.target_admin_dsn, autocommit=True) as database:
        database.execute("""
            CREATE FUNCTION fence() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'fenced' USING ERRCODE = '25006'; END $$""")

        def fence() -> None:
            database.execute("""
                CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON lab_writes
                FOR EACH STATEMENT EXECUTE FUNCTION fence()""")

        fenced: list[asyncio.Future[None]] = []

        def fence_once(progress: LoadProgress) -> None:
            if progress.acknowledged > 100 and progress.phase == "running" and not fenced:
                fenced.append(asyncio.get_running_loop().run_in_executor(None, fence))

        summary = await loaded(products, journal, on_progress=fence_once)
        await asyncio.gather(*fenced)
    assert set(summary.failures) == {"503 read_only"}
    assert summary.refused == summary.failures["503 read_only"]
    assert summary.unknown == 0
    assert audit(journal, products.databases.target_dsn).clean


@pytest.mark.servers
def test_load_when_killed_leaves_a_journal_that_can_be_judged_and_continued(
    target_product: Products, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    program = """
import asyncio, sys
from pathlib import Path
from failback.lab import load
asyncio.run(load.run(sys.argv[1], users=5, rps=100, seconds=60, journal=Path(sys.argv[2]),
                     anon_key=sys.argv[3]))
"""
    url, key = target_product.url(Side.TARGET), target_product.anon_key
    with subprocess.Popen([sys.executable, "-c", program, url, str(journal), key]) as process:
        try:
            assert wait_until(lambda: acknowledged(journal) > 100, 30)
        finally:
            process.send_signal(signal.SIGKILL)
    before = acknowledged(journal)
    dsn = target_product.databases.target_dsn
    # A request that was on its way may still be carried out: unknown, so right either way.
    assert audit(journal, dsn).clean
    asyncio.run(loaded(target_product, journal, seconds=1))
    assert acknowledged(journal) > before
    assert audit(journal, dsn).clean


def acknowledged(journal: Path) -> int:
    try:
        return read(journal).count(WriteOutcome.ACKNOWLEDGED)
    except JournalError:
        return 0


@pytest.mark.servers
async def test_load_when_stopped_early_sums_up_what_it_did(
    target_product: Products, tmp_path: Path
) -> None:
    stop = asyncio.Event()

    def enough(progress: LoadProgress) -> None:
        if progress.acknowledged > 50 and progress.phase == "running":
            stop.set()

    summary = await loaded(
        target_product, tmp_path / "j", seconds=600, on_progress=enough, stop=stop
    )
    assert summary.requests < 2000
    assert summary.acknowledged > 50


@pytest.mark.servers
def test_audit_when_the_role_may_not_read_or_tables_are_missing_says_so(
    target_product: Products, databases: DatabasePair, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    asyncio.run(loaded(target_product, journal, users=1, seconds=0.5))
    with pytest.raises(LabError, match="not the product's tables"):
        audit(journal, databases.target_admin_dsn)
    with psycopg.connect(databases.target_admin_dsn) as database:
        database.execute("CREATE TABLE lab_writes (key text, value text)")
        database.execute("CREATE TABLE documents (id uuid, body text, deleted_at timestamptz)")
        database.execute("REVOKE ALL ON lab_writes, documents FROM PUBLIC, product")
    with pytest.raises(MissingRightError, match="may not read"):
        audit(journal, databases.target_app_dsn)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"api_url": "http://example.org"}, "not on loopback"),
        ({"api_url": "http://10.0.0.1:80"}, "not on loopback"),
        ({"api_url": "http://127.0.0.1.example.org"}, "not on loopback"),
        ({"api_url": "https://127.0.0.1"}, "not on loopback"),
        ({"users": 0}, "users is 0"),
        ({"rps": 1e9}, "rps is"),
        ({"seconds": 86_400}, "seconds is 86400"),
        ({"seconds": float("nan")}, "seconds is nan"),
    ],
)
async def test_load_out_of_bounds_is_refused_and_writes_nothing(
    tmp_path: Path, change: dict[str, Any], cause: str
) -> None:
    options: dict[str, Any] = {"users": 1, "rps": 1, "seconds": 1} | change
    options.setdefault("api_url", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=cause):
        await load.run(**options, journal=tmp_path / "journal", anon_key="k")
    assert not (tmp_path / "journal").exists()


async def test_load_when_nothing_listens_or_the_journal_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"No customer could be signed up \(connect\)"):
        await load.run(
            "http://127.0.0.1:9", users=2, rps=1, seconds=1, journal=tmp_path / "j", anon_key="k"
        )
    (tmp_path / "notes").write_text("my notes\n")
    with pytest.raises(JournalError):
        await load.run(
            "http://127.0.0.1:9",
            users=1,
            rps=1,
            seconds=1,
            journal=tmp_path / "notes",
            anon_key="k",
        )
    assert (tmp_path / "notes").read_text() == "my notes\n"
