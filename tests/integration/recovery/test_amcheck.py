"""What amcheck finds, on a server that has it: the lab's own has none."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from failback.models.common import Side
from failback.models.recovery import Condition
from failback.providers.backup.programs import Programs
from failback.providers.backup.scratch import scratch_server
from failback.recovery.findings import Finding
from failback.recovery.reading import Deadline, check_structure
from failback.reverse_sync.connections import Connection, Servers

pytestmark = pytest.mark.servers
_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A server with amcheck, a table of some pages and an index."""
    if not _INSTALLED:
        pytest.skip("no PostgreSQL of the distribution is installed here")
    # Where the server's own user may go, too.
    folder = Path(tempfile.gettempdir())
    with scratch_server(Programs(_INSTALLED[-1].parent), folder, "nobody") as server:
        with psycopg.connect(server, autocommit=True) as session:
            available = "SELECT FROM pg_available_extensions WHERE name = 'amcheck'"
            if session.execute(available).fetchone() is None:
                pytest.skip("the PostgreSQL that is installed here has no amcheck")
            session.execute("CREATE SCHEMA checks")
            session.execute("CREATE EXTENSION amcheck SCHEMA checks")
            session.execute("CREATE TABLE public.things (id bigint PRIMARY KEY, text text)")
            session.execute("INSERT INTO things SELECT n, 'x' FROM generate_series(1, 5000) n")
        yield server


def _checked(dsn: str) -> dict[str, Finding]:
    with closing(Servers(dsn, dsn).connect(Side.SOURCE, autocommit=True)) as session:
        found = check_structure(session, Deadline(60.0), lambda _text: None)
        path: Connection = session
        assert path.execute("SHOW search_path").fetchone() == ("pg_catalog",)
    return {one.name: one for one in found}


def test_amcheck_when_an_index_lacks_a_row_then_it_is_named_and_gone_when_rebuilt(
    dsn: str,
) -> None:
    assert _checked(dsn)["amcheck"].condition is Condition.HEALTHY
    with psycopg.connect(dsn, autocommit=True) as session:
        key = "WHERE indexrelid = 'public.things_pkey'::regclass"
        session.execute(f"UPDATE pg_index SET indisready = false {key}")
        session.execute("INSERT INTO public.things VALUES (9999, 'x')")
        session.execute(f"UPDATE pg_index SET indisready = true {key}")
        found = _checked(dsn)["amcheck"]
        assert found.condition is Condition.CORRUPTED
        assert "public.things_pkey: heap tuple" in found.detail
        session.execute("REINDEX TABLE public.things")
    assert _checked(dsn)["amcheck"].condition is Condition.HEALTHY


def test_amcheck_when_the_role_may_not_call_it_then_everything_is_read_instead(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("CREATE ROLE watcher LOGIN")
        session.execute("GRANT pg_read_all_data TO watcher")
    found = _checked(psycopg.conninfo.make_conninfo(dsn, user="watcher"))
    assert found["amcheck"].condition is Condition.UNKNOWN
    assert "may not call amcheck" in found["amcheck"].detail
    assert found["b-trees can be read"].condition is Condition.HEALTHY
