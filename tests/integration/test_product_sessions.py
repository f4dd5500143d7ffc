"""The lab's product: people who sign up, log in, refresh and leave."""

import httpx
import psycopg
import pytest

from failback.lab.databases import DatabasePair
from failback.models.common import Side

from support.products import PASSWORD, WANT_ROWS, Products, signed_up

pytestmark = pytest.mark.servers


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
