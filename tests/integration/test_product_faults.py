"""The lab's product: with faults on, fenced, and with its database away."""

import time

import httpx
import psycopg
import pytest

from failback.errors import LabError, UnreachableError
from failback.lab import faults
from failback.lab.databases import DatabasePair, PostgresPair
from failback.lab.processes import wait_until
from failback.models.common import Side

from support.products import PASSWORD, Products, signed_up

pytestmark = pytest.mark.servers


def test_fault_errors_when_on_breaks_its_share_and_when_off_none(
    target_product: Products, client: httpx.Client
) -> None:
    url = target_product.url(Side.TARGET)
    assert faults.apply(url, faults.ERRORS, True) == {"errors": {"share": 0.3, "seconds": 3.0}}
    codes = [client.get("/rest/v1/documents").status_code for _ in range(200)]
    assert 20 < codes.count(500) < 110
    assert codes.count(500) + codes.count(200) == 200
    assert client.get("/health").status_code == 200
    assert faults.apply(url, faults.ERRORS, False) == {}
    assert {client.get("/rest/v1/documents").status_code for _ in range(50)} == {200}


def test_fault_latency_when_on_delays_requests(
    target_product: Products, client: httpx.Client
) -> None:
    url = target_product.url(Side.TARGET)
    faults.apply(url, faults.LATENCY, True, seconds=0.4)
    try:
        began = time.monotonic()
        assert client.get("/rest/v1/documents").status_code == 200
        assert time.monotonic() - began >= 0.4
    finally:
        faults.apply(url, faults.LATENCY, False)


def test_fault_auth_failures_when_on_refuses_good_passwords(
    target_product: Products, client: httpx.Client
) -> None:
    url = target_product.url(Side.TARGET)
    body = {"email": "ada2@example.org", "password": PASSWORD}
    assert client.post("/auth/v1/signup", json=body).status_code == 200
    faults.apply(url, faults.AUTH_FAILURES, True)
    try:
        login = client.post("/auth/v1/token?grant_type=password", json=body)
        assert (login.status_code, login.json()["error_code"]) == (400, "invalid_credentials")
        assert client.get("/rest/v1/documents").status_code == 200
    finally:
        faults.apply(url, faults.AUTH_FAILURES, False)
    assert client.post("/auth/v1/token?grant_type=password", json=body).status_code == 200


def test_fault_when_unknown_or_product_away_is_refused_with_its_cause(
    target_product: Products,
) -> None:
    with pytest.raises(LabError, match=r"no fault 'gremlins'.*Known: auth-failures, errors"):
        faults.apply(target_product.url(Side.TARGET), "gremlins", True)
    refused = httpx.post(
        f"{target_product.url(Side.TARGET)}/_lab/faults",
        json={"fault": "errors", "on": True, "share": "much"},
        trust_env=False,
    )
    assert refused.status_code == 400
    with pytest.raises(UnreachableError, match="does not answer"):
        faults.apply("http://127.0.0.1:9", faults.ERRORS, True)


def test_fenced_write_is_answered_read_only_while_reads_go_on(
    client: httpx.Client, target_product: Products
) -> None:
    with psycopg.connect(target_product.databases.target_admin_dsn, autocommit=True) as database:
        database.execute("""
            CREATE FUNCTION test_fence() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'fenced' USING ERRCODE = '25006'; END $$;
            CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON lab_writes
                FOR EACH STATEMENT EXECUTE FUNCTION test_fence();
            CREATE TRIGGER fence BEFORE INSERT ON auth.sessions
                FOR EACH STATEMENT EXECUTE FUNCTION test_fence()""")
        try:
            row = {"key": "fenced", "value": "x"}
            write = client.post("/rest/v1/lab_writes", json=row)
            assert (write.status_code, write.json()["code"]) == (503, "read_only")
            body = {"email": "fence@example.org", "password": PASSWORD}
            sign_up = client.post("/auth/v1/signup", json=body)
            assert (sign_up.status_code, sign_up.json()["error_code"]) == (503, "read_only")
            assert client.get("/rest/v1/lab_writes?key=eq.fenced").json() == []
        finally:
            database.execute("DROP FUNCTION test_fence() CASCADE")
    assert client.post("/rest/v1/lab_writes", json=row).status_code == 201


def test_database_that_goes_and_comes_back_is_503_and_then_served_again(
    products: Products, postgres_pair: PostgresPair
) -> None:
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        signed_up(client)
        postgres_pair.target.stop(immediate=True)
        try:
            for _ in range(3):
                answer = client.get("/rest/v1/documents")
                assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        finally:
            postgres_pair.target.start()
        assert wait_until(lambda: client.get("/health").status_code == 200, 20)
        assert client.get("/rest/v1/documents").status_code == 200


def test_database_that_freezes_is_503_and_does_not_hang_the_client(
    products: Products, databases: DatabasePair
) -> None:
    products.start(Side.TARGET)
    with (
        products.client(Side.TARGET) as client,
        psycopg.connect(databases.target_admin_dsn) as blocker,
    ):
        signed_up(client)
        blocker.execute("LOCK TABLE lab_writes IN ACCESS EXCLUSIVE MODE")
        answer = client.get("/rest/v1/lab_writes")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        blocker.rollback()
        assert wait_until(lambda: client.get("/rest/v1/lab_writes").status_code == 200, 20)


def test_product_when_its_database_is_away_starts_and_waits_for_it(
    products: Products, postgres_pair: PostgresPair
) -> None:
    postgres_pair.target.stop(immediate=True)
    try:
        with pytest.raises(AssertionError):
            products.start(Side.TARGET, seconds=5)
        assert products.status(Side.TARGET) == 503
    finally:
        postgres_pair.target.start()
    assert wait_until(lambda: products.status(Side.TARGET) == 200, 20)


def test_product_when_asked_to_end_leaves_with_code_zero(products: Products) -> None:
    products.start(Side.TARGET)
    code, _ = products.stop(Side.TARGET)
    assert code == 0
