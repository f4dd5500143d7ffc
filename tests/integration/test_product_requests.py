"""The lab's product: what it answers to requests, good and bad, and what it counts."""

import httpx
import psycopg
import pytest

from support.products import PASSWORD, WANT_ROWS, Products, metric

pytestmark = pytest.mark.servers


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
    told = answer.json()
    assert (answer.status_code, told.get("error_code") or told["code"]) == (status, code)
    assert answer.headers["X-Lab-Side"] == "target"


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
