"""The lab's product: people who sign up, log in, refresh and leave."""

import httpx
import psycopg
import pytest

from failback.lab.databases import DatabasePair
from failback.models.common import Side

from support.auth import copy_auth
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


REFRESH = "/auth/v1/token?grant_type=refresh_token"


def refreshed(client: httpx.Client, token: str) -> tuple[int, str]:
    """What an answer says to a refresh token: its status, and the next token or what is wrong."""
    answer = client.post(REFRESH, json={"refresh_token": token})
    body = answer.json()
    return answer.status_code, body.get("refresh_token") or body["error_code"]


def test_refresh_token_when_its_answer_was_lost_gives_the_same_next_one(products: Products) -> None:
    products.reuse_seconds = 0.0
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        first = signed_up(client)["refresh_token"]
        _, second = refreshed(client, first)
        assert refreshed(client, first) == (200, second)
        assert refreshed(client, second)[0] == 200


def test_refresh_token_when_shown_beyond_the_reuse_interval_ends_its_session(
    products: Products, databases: DatabasePair
) -> None:
    products.reuse_seconds = 0.0
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        first = signed_up(client)["refresh_token"]
        _, second = refreshed(client, first)
        _, third = refreshed(client, second)
        assert refreshed(client, first) == (400, "refresh_token_already_used")
        assert refreshed(client, third) == (400, "refresh_token_already_used")
        assert refreshed(client, "guess") == (400, "refresh_token_not_found")
    with psycopg.connect(databases.target_admin_dsn) as target:
        revoked = target.execute("SELECT bool_and(revoked) FROM auth.refresh_tokens").fetchone()
    assert revoked == (True,)


def test_refresh_token_when_shown_within_the_reuse_interval_is_good(products: Products) -> None:
    products.reuse_seconds = 60.0
    products.start(Side.TARGET)
    with products.client(Side.TARGET) as client:
        first = signed_up(client)["refresh_token"]
        _, second = refreshed(client, first)
        _, third = refreshed(client, second)
        status, fourth = refreshed(client, first)
        assert status == 200
        assert fourth not in (first, second, third)


def test_user_when_the_operator_makes_changes_and_deletes_it_is_as_told(products: Products) -> None:
    products.start(Side.TARGET)
    service = {"apikey": products.service_key, "Authorization": f"Bearer {products.service_key}"}
    users = "/auth/v1/admin/users"
    with products.client(Side.TARGET) as client:
        body = {"email": "Ada@example.org", "password": PASSWORD, "email_confirm": True}
        user = client.post(users, json=body, headers=service).json()
        assert (user["email"], user["identities"][0]["provider"]) == ("ada@example.org", "email")
        assert "encrypted_password" not in user
        again = client.post(users, json=body, headers=service)
        assert (again.status_code, again.json()["error_code"]) == (422, "email_exists")
        one = f"{users}/{user['id']}"
        change = {"password": "a better one", "user_metadata": {"name": "Ada"}}
        changed = client.put(one, json=change, headers=service).json()
        assert changed["user_metadata"] == {"name": "Ada"}
        login = {"email": "ada@example.org", "password": "a better one"}
        assert client.post("/auth/v1/token?grant_type=password", json=login).status_code == 200
        assert client.get(one, headers=service).json()["id"] == user["id"]
        listed = client.get(users, headers=service).json()["users"]
        assert [each["id"] for each in listed] == [user["id"]]
        assert client.delete(one, headers=service).status_code == 200
        assert client.get(one, headers=service).status_code == 404
        assert client.get(users).json()["error_code"] == "no_authorization"


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
