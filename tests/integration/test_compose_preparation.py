"""What docker-compose.yml prepares, held against real servers where no Docker engine is."""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from failback.config import load
from failback.lab.accounts import server_account
from failback.lab.binaries import haproxy_home
from failback.lab.databases import PostgresPair, database_exists, drop_database
from failback.models.common import Side

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
DATABASE = "compose_preparation"
PASSWORD = "test-only"


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with the passwords and a database that the other tests can live with."""
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "deploy" / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.new_secrets()
    same = {"failback_password": PASSWORD, "product_password": PASSWORD}
    monkeypatch.setattr(module, "new_secrets", lambda: {**made, **same})
    monkeypatch.setattr(module, "DATABASE", DATABASE)
    return module


@pytest.fixture
def prepared(
    preparation: ModuleType,
    postgres_pair: PostgresPair,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The folder that the containers share, prepared twice as after a restart."""
    # A short name: the path of a socket in it may have 97 characters.
    folder = tmp_path_factory.mktemp("compose") / "estate"
    dsns = {side: postgres_pair.server(side).admin_dsn() for side in Side}
    try:
        preparation.prepare(folder, dsns)
        preparation.prepare(folder, dsns)
        yield folder
    finally:
        for side in Side:
            if database_exists(postgres_pair.server(side), DATABASE):
                drop_database(postgres_pair.server(side), DATABASE)


def test_prepare_then_both_sides_have_the_product_s_tables(
    prepared: Path, postgres_pair: PostgresPair
) -> None:
    for side in Side:
        with psycopg.connect(postgres_pair.server(side).admin_dsn(DATABASE)) as connection:
            found = connection.execute("SELECT to_regclass('public.documents')").fetchone()
        assert found is not None
        assert found[0] == "documents" or found[0] == "public.documents"


def test_prepare_then_the_configuration_is_one(prepared: Path) -> None:
    estate = load(prepared / "failback.yaml")
    assert estate.estate == "compose"
    assert estate.traffic.balancer.runtime_api == f"unix://{prepared}/balancer/runtime.sock"
    assert len(estate.traffic.routes) == 4


def test_prepare_then_haproxy_accepts_its_configuration(prepared: Path) -> None:
    home = haproxy_home(server_account())
    done = subprocess.run(
        [home / "haproxy", "-c", "-f", prepared / "balancer" / "haproxy.cfg"],
        env={"LD_LIBRARY_PATH": str(home / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (prepared / "balancer" / "haproxy.cfg").read_text().count("bind :") == 2


def test_prepare_then_knot_accepts_its_configuration(prepared: Path) -> None:
    program = shutil.which("knotc") or shutil.which("knotc", path="/usr/sbin")
    if program is None:
        pytest.skip("knotc is not installed (Debian: apt-get install knot)")
    done = subprocess.run(
        [program, "-c", prepared / "dns" / "knot.conf", "conf-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prepare_then_the_product_s_settings_can_be_sourced_by_a_shell(prepared: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '. "$0" && echo "$SOURCE_DSN"', prepared / "product.env"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == (f"postgresql://product:{PASSWORD}@127.0.0.1:5416/{DATABASE}")
