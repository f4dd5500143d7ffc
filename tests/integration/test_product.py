"""The lab's product, as its clients meet it: real processes on real databases."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
import pytest

from failback.errors import LabError, UnreachableError
from failback.lab import faults
from failback.lab.databases import DatabasePair, PostgresPair
from failback.lab.processes import wait_until
from failback.lab.product.schema import install
from failback.models.common import Side

pytestmark = pytest.mark.servers


class Products(Protocol):
    """What the fixtures of the product give (conftest.py)."""

    folder: Path
    databases: DatabasePair
    anon_key: str
    service_key: str

    def start(self, side: Side, *, seconds: float = 30) -> str: ...

    def stop(self, side: Side) -> tuple[int, float]: ...

    def url(self, side: Side) -> str: ...

    def status(self, side: Side) -> int | None: ...

    def client(self, side: Side) -> httpx.Client: ...


PASSWORD = "correct horse"
WANT_ROWS = {"Prefer": "return=representation"}


def signed_up(client: httpx.Client, email: str = "ada@example.org") -> dict[str, Any]:
    answer = client.post("/auth/v1/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()
    client.headers["Authorization"] = f"Bearer {session['access_token']}"
    return session


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric's series whose labels fit."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        wanted = all(f'{key}="{text}"' in series for key, text in labels.items())
        if series.partition("{")[0] == name and wanted:
            total += float(value)
    return total


def test_journey_from_sign_up_to_clean_up_works(products: Products) -> None:
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        session = signed_up(client)
        login = client.post(
            "/auth/v1/token?grant_type=password",
            json={"email": "Ada@example.org", "password": PASSWORD},
        )
        assert login.status_code == 200
        assert login.json()["user"]["id"] == session["user"]["id"]

        made = client.post(
            "/rest/v1/documents",
            json={
                "title": "Ducks",
                "body": "Geese are loud. A duck floats because its feathers hold air.",
                "tags": ["birds", "water"],
                "metadata": {"pages": 3},
                "price": 9.5,
                "status": "published",
            },
            headers=WANT_ROWS,
        )
        assert made.status_code == 201, made.text
        document = made.json()[0]
        assert document["owner"] == session["user"]["id"]
        assert document["tags"] == ["birds", "water"]

        read = client.get("/rest/v1/documents?select=id&limit=1")
        assert read.json() == [{"id": document["id"]}]

        asked = client.post("/functions/v1/ai-query", json={"query": "Why does a duck float?"})
        assert asked.status_code == 200
        assert asked.json()["answer"] == "A duck floats because its feathers hold air."
        assert asked.json()["sources"][0]["id"] == document["id"]

        cleaned = client.delete(
            f"/auth/v1/admin/users/{session['user']['id']}",
            headers={
                "apikey": products.service_key,
                "Authorization": f"Bearer {products.service_key}",
            },
        )
        assert cleaned.status_code == 200
        assert client.get("/auth/v1/user").status_code == 403
        assert client.get("/rest/v1/documents").json() == []


def test_session_of_the_target_when_its_rows_are_on_the_source_is_accepted_there(
    products: Products, databases: DatabasePair
) -> None:
    for side in Side:
        products.start(side)
    with products.client(Side.TARGET) as client:
        session = signed_up(client)
    with products.client(Side.SOURCE) as client:
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        assert client.get("/auth/v1/user").status_code == 403
        copy_auth(databases)
        user = client.get("/auth/v1/user")
        assert user.status_code == 200
        assert user.headers["X-Lab-Side"] == "source"
        refreshed = client.post(
            "/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": session["refresh_token"]},
        )
        assert refreshed.status_code == 200
        assert refreshed.json()["refresh_token"] != session["refresh_token"]


def copy_auth(databases: DatabasePair) -> None:
    """Carry the auth tables and their sequence from target to source, generated columns not."""
    with (
        psycopg.connect(databases.target_admin_dsn) as target,
        psycopg.connect(databases.source_admin_dsn) as source,
    ):
        for table in ("users", "identities", "sessions", "refresh_tokens"):
            columns = ", ".join(
                name
                for (name,) in target.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'auth'"
                    " AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
                    [table],
                )
            )
            with (
                target.cursor().copy(f"COPY auth.{table} ({columns}) TO STDOUT") as rows,
                source.cursor().copy(f"COPY auth.{table} ({columns}) FROM STDIN") as sink,
            ):
                for chunk in rows:
                    sink.write(chunk)
        source.execute("SELECT setval('auth.refresh_tokens_id_seq', 1000)")


def test_refresh_token_when_used_twice_is_refused(products: Products) -> None:
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        session = signed_up(client)
        path, body = "/auth/v1/token?grant_type=refresh_token", session["refresh_token"]
        first = client.post(path, json={"refresh_token": body})
        assert first.status_code == 200
        again = client.post(path, json={"refresh_token": body})
        assert (again.status_code, again.json()["error_code"]) == (400, "refresh_token_not_found")
        next_one = client.post(path, json={"refresh_token": first.json()["refresh_token"]})
        assert next_one.status_code == 200


def test_log_out_when_done_ends_the_session(products: Products) -> None:
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        session = signed_up(client)
        assert client.post("/auth/v1/logout").status_code == 204
        assert client.get("/auth/v1/user").json()["error_code"] == "session_not_found"
        refreshed = client.post(
            "/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": session["refresh_token"]},
        )
        assert refreshed.status_code == 400


NOBODY = "00000000-0000-0000-0000-000000000000"
LOGIN = "/auth/v1/token?grant_type=password"
REFUSED = {
    "user-exists": ("POST /auth/v1/signup", ("ada", PASSWORD), 422, "user_already_exists"),
    "weak-password": ("POST /auth/v1/signup", ("new", "short"), 422, "weak_password"),
    "wrong-password": (f"POST {LOGIN}", ("ada", "wrong one"), 400, "invalid_credentials"),
    "unknown-user": (f"POST {LOGIN}", ("nobody", PASSWORD), 400, "invalid_credentials"),
    "unknown-grant": ("POST /auth/v1/token?grant_type=magic", {}, 400, "validation_failed"),
    "not-admin": (f"DELETE /auth/v1/admin/users/{NOBODY}", None, 403, "not_admin"),
    "unknown-table": ("GET /rest/v1/secrets", None, 404, "PGRST205"),
    "unknown-column": ("GET /rest/v1/documents?colour=eq.red", None, 400, "42703"),
    "unknown-selection": ("GET /rest/v1/documents?select=id;drop", None, 400, "42703"),
    "unknown-operator": ("GET /rest/v1/documents?id=near.1", None, 400, "PGRST100"),
    "no-uuid": ("GET /rest/v1/documents?id=eq.1", None, 400, "22P02"),
    "no-title": ("POST /rest/v1/documents", {"body": "text"}, 400, "23502"),
    "negative-price": ("POST /rest/v1/documents", {"title": "x", "price": -1}, 400, "23514"),
    "other-owner": ("POST /rest/v1/documents", {"title": "x", "owner": NOBODY}, 403, "42501"),
    "no-filter": ("DELETE /rest/v1/documents", None, 400, "21000"),
    "no-question": ("POST /functions/v1/ai-query", {"query": ""}, 400, "validation_failed"),
    "no-function": ("POST /functions/v1/launch", {}, 404, "NOT_FOUND"),
    "no-object": ("GET /storage/v1/object/pictures/none.png", None, 404, "not_found"),
    "no-route": ("GET /nowhere", None, 404, "Not Found"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_request_that_cannot_be_served_is_answered_with_status_and_code(
    shared_client: httpx.Client, case: str
) -> None:
    asked, body, status, code = REFUSED[case]
    if isinstance(body, tuple):
        body = {"email": f"{body[0]}@example.org", "password": body[1]}
    answer = shared_client.request(*asked.split(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["X-Lab-Side"] == "target"


@pytest.fixture(scope="module")
def shared_client(target_product: Products) -> Iterator[httpx.Client]:
    with target_product.client(Side.TARGET) as client:
        signed_up(client, "ada@example.org")
        yield client


@pytest.fixture
def client(target_product: Products) -> Iterator[httpx.Client]:
    """A client of the module's product, with a user of its own signed in."""
    with target_product.client(Side.TARGET) as client:
        signed_up(client, f"{uuid.uuid4().hex}@example.org")
        yield client


def test_key_when_missing_or_wrong_is_refused(target_product: Products) -> None:
    url = target_product.url(Side.TARGET)
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/rest/v1/documents").json()["code"] == "no_api_key"
        wrong = client.get("/rest/v1/documents", headers={"apikey": "guess"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_api_key")
        for path in ("/health", "/auth/v1/health", "/rest/v1/", "/storage/v1/health"):
            assert client.get(path).status_code == 200
        client.headers["apikey"] = target_product.anon_key
        assert client.get("/rest/v1/documents").status_code == 401
        client.headers["Authorization"] = "Bearer forged.forged.forged"
        assert client.get("/rest/v1/documents").json()["code"] == "bad_jwt"


def test_documents_when_filtered_ordered_and_limited_come_as_asked(client: httpx.Client) -> None:
    for title, price in (("one", 1), ("two", 2), ("three", 3)):
        row = {"title": title, "price": price}
        assert client.post("/rest/v1/documents", json=row).status_code == 201

    def titles(query: str) -> list[str]:
        answer = client.get(f"/rest/v1/documents?select=title&{query}")
        assert answer.status_code == 200, answer.text
        return [row["title"] for row in answer.json()]

    assert titles("order=price.desc&limit=2") == ["three", "two"]
    assert titles("price=gte.2&order=price") == ["two", "three"]
    assert titles("title=in.(one,three)&order=price") == ["one", "three"]
    assert titles("title=like.t*&order=title.asc") == ["three", "two"]
    assert titles("title=not.eq.one&order=price&offset=1") == ["three"]
    assert titles("metadata=is.null") == []


def test_document_when_changed_keeps_a_revision_and_when_deleted_softly_is_hidden(
    client: httpx.Client,
) -> None:
    document = client.post("/rest/v1/documents", json={"title": "v1"}, headers=WANT_ROWS).json()[0]
    one = f"/rest/v1/documents?id=eq.{document['id']}"
    changed = client.patch(one, json={"title": "v2", "metadata": {"a": [1]}}, headers=WANT_ROWS)
    assert changed.json()[0]["title"] == "v2"
    assert changed.json()[0]["metadata"] == {"a": [1]}
    assert changed.json()[0]["updated_at"] > document["updated_at"]
    assert client.delete(one, headers={"Prefer": "deletion=soft"}).status_code == 204
    assert client.get(one).json() == []
    gone = client.get(f"{one}&deleted_at=not.is.null").json()
    assert [row["id"] for row in gone] == [document["id"]]


def test_document_when_deleted_hard_takes_its_revisions_along(
    client: httpx.Client, target_product: Products
) -> None:
    document = client.post("/rest/v1/documents", json={"title": "x"}, headers=WANT_ROWS).json()[0]
    client.patch(f"/rest/v1/documents?id=eq.{document['id']}", json={"body": "y"})
    with psycopg.connect(target_product.databases.target_admin_dsn, autocommit=True) as database:
        count = "SELECT count(*) FROM document_revisions WHERE document_id = %s"
        assert database.execute(count, [document["id"]]).fetchone() == (2,)
        client.delete(f"/rest/v1/documents?id=eq.{document['id']}")
        assert database.execute(count, [document["id"]]).fetchone() == (0,)


def test_document_of_somebody_else_when_asked_for_is_invisible(
    client: httpx.Client, shared_client: httpx.Client
) -> None:
    document = client.post("/rest/v1/documents", json={"title": "x"}, headers=WANT_ROWS).json()[0]
    one = f"/rest/v1/documents?id=eq.{document['id']}"
    assert shared_client.get(one).json() == []
    assert shared_client.patch(one, json={"title": "mine"}, headers=WANT_ROWS).json() == []
    assert shared_client.delete(one, headers=WANT_ROWS).json() == []
    assert client.get(one).json()[0]["title"] == "x"
    assert (
        shared_client.post(
            "/rest/v1/documents", json={"id": document["id"], "title": "taken"}
        ).status_code
        == 409
    )


def test_lab_write_when_merged_keeps_one_row(client: httpx.Client) -> None:
    merge = {"Prefer": "resolution=merge-duplicates"}
    for value in ("1", "2"):
        row = {"key": "merge", "value": value}
        assert client.post("/rest/v1/lab_writes", json=row, headers=merge).status_code == 201
    assert client.post("/rest/v1/lab_writes", json=row).status_code == 409
    rows = client.get("/rest/v1/lab_writes?key=eq.merge&select=value").json()
    assert rows == [{"value": "2"}]


def test_object_when_replaced_and_deleted_has_one_version_and_then_none(
    client: httpx.Client, target_product: Products
) -> None:
    path = "/storage/v1/object/pictures/birds/duck.txt"
    assert client.post(path, content=b"one").status_code == 200
    assert client.post(path, content=b"two").json()["statusCode"] == "409"
    assert client.put(path, content=b"two", headers={"Content-Type": "text/plain"}).is_success
    read = client.get(path)
    assert (read.content, read.headers["Content-Type"]) == (b"two", "text/plain")
    files = target_product.folder / "files-target" / "pictures"
    assert len([file for file in files.rglob("*") if file.is_file()]) == 1
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    assert [file for file in files.rglob("*") if file.is_file()] == []


def test_object_path_that_leaves_its_folder_is_refused(
    client: httpx.Client, target_product: Products
) -> None:
    for path in ("pictures/%2E%2E/%2E%2E/x", "%2E%2E/x", "pictures/a/%2e%2e/%2e%2e/b"):
        answer = client.post(httpx.URL(f"{client.base_url}/storage/v1/object/{path}"), content=b"x")
        assert answer.status_code in (400, 404)
    assert not (target_product.folder / "x").exists()


def test_metrics_when_requests_were_served_count_them_by_the_specified_names(
    client: httpx.Client,
) -> None:
    before = metric(client, "ai_query_success_total")
    served = metric(client, "http_requests_total", code="200", path_class="functions")
    assert client.post("/functions/v1/ai-query", json={"query": "ducks"}).status_code == 200
    assert client.post("/auth/v1/token?grant_type=password", json={}).status_code == 400
    assert metric(client, "ai_query_success_total") == before + 1
    assert metric(client, "ai_query_attempts_total") >= before + 1
    assert metric(client, "http_requests_total", code="200", path_class="functions") == served + 1
    assert metric(client, "auth_attempts_total") > metric(client, "auth_success_total")
    connections = metric(client, "database_connection_attempts_total")
    assert connections == metric(client, "database_connection_success_total") > 0
    assert metric(client, "http_request_duration_seconds_bucket", le="0.25") > 0


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


def test_schema_when_installed_twice_keeps_data_owners_and_rights(databases: DatabasePair) -> None:
    for side in Side:
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.app_dsn(side), autocommit=True) as product:
            product.execute("INSERT INTO lab_writes VALUES ('kept', 'yes')")
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.app_dsn(side), autocommit=True) as product:
            rows = product.execute("SELECT value FROM lab_writes WHERE key = 'kept'").fetchall()
            assert rows == [("yes",)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                product.execute("DROP TABLE lab_writes")


def test_owners_when_installed_are_those_of_each_side(databases: DatabasePair) -> None:
    owners: dict[Side, dict[str, str]] = {}
    for side in Side:
        install(databases.admin_dsn(side), side)
        with psycopg.connect(databases.admin_dsn(side)) as database:
            owners[side] = dict(
                database.execute("""
                    SELECT relnamespace::regnamespace::text, string_agg(DISTINCT
                        pg_get_userbyid(relowner), ',') FROM pg_class
                    WHERE relnamespace::regnamespace::text IN ('public', 'auth', 'storage')
                      AND relkind IN ('r', 'S') GROUP BY 1""").fetchall()
            )
    auth_admin = "supabase_auth_admin"
    assert owners[Side.SOURCE] == {"public": "postgres", "auth": auth_admin, "storage": auth_admin}
    assert set(owners[Side.TARGET].values()) == {"app_owner"}


def test_auth_tables_of_the_source_when_installed_are_writable_but_take_no_trigger(
    databases: DatabasePair,
) -> None:
    install(databases.source_admin_dsn, Side.SOURCE)
    with psycopg.connect(databases.source_dsn, autocommit=True) as failback:
        failback.execute("INSERT INTO auth.users (email) VALUES ('a@example.org')")
        failback.execute("DELETE FROM auth.users")
        failback.execute("SELECT setval('auth.refresh_tokens_id_seq', 1000)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            failback.execute(
                "CREATE TRIGGER nosy BEFORE INSERT ON auth.users FOR EACH STATEMENT"
                " EXECUTE FUNCTION public.touch_updated_at()"
            )


def test_schema_when_roles_are_missing_names_the_cure(postgres_pair: PostgresPair) -> None:
    with pytest.raises(LabError, match="Create the lab's roles first"):
        install(postgres_pair.target.admin_dsn(), Side.SOURCE)
