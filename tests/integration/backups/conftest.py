"""A database with things of many kinds, the estate that backs it up, and one sound backup."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from failback import certificates
from failback.config import load
from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.common import Side

from support.backups import CONFIGURATION, Shelved, Write, opened

SCHEMA = """
CREATE TYPE public.mood AS ENUM ('calm', 'Not calm');
CREATE TABLE public.customers (id bigint PRIMARY KEY, name text NOT NULL, mood public.mood);
CREATE TABLE public.orders (
    id bigint PRIMARY KEY, customer bigint REFERENCES public.customers, total numeric(12, 2),
    at timestamptz DEFAULT now(), tags text[], body jsonb, rate float8,
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED);
CREATE TABLE public.events (at date NOT NULL, text text) PARTITION BY RANGE (at);
CREATE TABLE public.events_2026 PARTITION OF public.events
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public."Odd name.x" (id int PRIMARY KEY, kind varchar(9) CHECK (kind IN ('a', 'b')));
CREATE VIEW public.totals AS SELECT customer, sum(total) AS total FROM public.orders GROUP BY 1;
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.orders TO authenticated USING (customer = 1);
CREATE PUBLICATION everything FOR TABLE public.orders;
INSERT INTO public.customers SELECT n, 'c ' || n, 'calm' FROM generate_series(1, 50) AS n;
INSERT INTO public.orders
SELECT n, 1 + n % 50, n / 3.0, '2026-01-01'::timestamptz + n * '1 s'::interval,
       ARRAY['x', NULL], '{"a": 1.0}', CASE n % 3 WHEN 0 THEN 'NaN' ELSE n / 7.0 END
FROM generate_series(1, 2000) AS n;
INSERT INTO public.events SELECT '2026-02-01', 'e' || n FROM generate_series(1, 30) AS n;
INSERT INTO public."Odd name.x" VALUES (1, 'a');
"""
AUTH = "CREATE TABLE auth.users (id uuid PRIMARY KEY, email text); INSERT INTO auth.users "
AUTH += "SELECT gen_random_uuid(), 'u' || n FROM generate_series(1, 20) AS n"


@pytest.fixture(scope="module")
def origin(postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    """A database of the source with things of many kinds."""
    pair = DatabasePair("backed_up", postgres_pair, "test-only")
    create_database(postgres_pair.source, Side.SOURCE, pair.name)
    try:
        with psycopg.connect(pair.source_dsn, autocommit=True) as session:
            session.execute(SCHEMA)
        with psycopg.connect(pair.source_admin_dsn, autocommit=True) as session:
            session.execute("SET ROLE supabase_auth_admin")
            session.execute(AUTH)
        yield pair
    finally:
        drop_database(postgres_pair.source, pair.name)


@pytest.fixture(scope="module")
def write(origin: DatabasePair, tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes configurations of the estate that all tests here share."""
    key = tmp_path_factory.mktemp("keys") / "key"
    certificates.generate(key)
    programs = origin.servers.source.programs

    def written(folder: Path, more: str = "", estate: str = "shop", scratch: bool = True) -> Path:
        text = CONFIGURATION.format(estate=estate, dsn=origin.source_dsn, key=key, folder=folder)
        text += f'  pg_bin: "{programs}"\n'
        if scratch:
            text += f'  scratch_dsn: "{origin.servers.source.admin_dsn()}"\n'
        path = folder / "failback.yaml"
        path.write_text(text + more)
        return path

    return written


@pytest.fixture(scope="module")
def taken(write: Write, tmp_path_factory: pytest.TempPathFactory) -> Shelved:
    """One sound backup, never to be changed."""
    folder = tmp_path_factory.mktemp("taken")
    with_backups = opened(write(folder))
    manifest = with_backups.take()
    key = load(folder / "failback.yaml").certificates
    assert key is not None
    return Shelved(folder / "store", "shop", manifest.id, key.signing_key)


@pytest.fixture
def copy(taken: Shelved, tmp_path: Path) -> Shelved:
    """A copy of it, for damage."""
    return taken.copied(tmp_path / "store")
