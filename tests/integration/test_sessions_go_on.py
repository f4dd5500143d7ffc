"""Sessions of the target on the source, after the reverse sync has carried their rows."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side

from support.auth import AUTH_TABLES
from support.pairs import open_pair
from support.products import PASSWORD, Products, signed_up

pytestmark = pytest.mark.servers

REFRESH = "/auth/v1/token?grant_type=refresh_token"
LOG_IN = "/auth/v1/token?grant_type=password"
NEW_PASSWORD = "changed on the target"


def rows(databases: DatabasePair, side: Side) -> dict[str, list[Any]]:
    """Every row of the auth schema as one document each."""
    found = {}
    with psycopg.connect(databases.admin_dsn(side)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in AUTH_TABLES:
            query = f"SELECT to_jsonb(t) FROM auth.{table} AS t ORDER BY t.id"
            found[table] = [row[0] for row in connection.execute(query)]
    return found


@pytest.fixture
def carried(products: Products, databases: DatabasePair) -> Iterator[Any]:
    """Both products, and what takes the writes of the target back to the source."""
    products.reuse_seconds = 0.0
    with open_pair(databases) as pair:
        engine = pair.engine(
            include=("public.*", "auth.*"),
            source_writer_roles=("product",),
            target_writer_roles=("product",),
        )
        assert engine.arm().outcome is Outcome.SUCCEEDED
        for side in Side:
            products.start(side)
        yield engine


def test_session_when_its_rows_were_carried_goes_on_and_used_tokens_stay_used(
    carried: Any, products: Products, databases: DatabasePair
) -> None:
    service = {"apikey": products.service_key, "Authorization": f"Bearer {products.service_key}"}
    email = "ada@example.org"
    with products.client(Side.TARGET) as browser:
        session = signed_up(browser, email)
        user = f"/auth/v1/admin/users/{session['user']['id']}"
        browser.put(user, json={"password": NEW_PASSWORD}, headers=service).raise_for_status()
        kept = _refreshed(browser, session["refresh_token"])
        body = {"type": "magiclink", "email": email}
        link = browser.post("/auth/v1/admin/generate_link", json=body, headers=service).json()
    with psycopg.connect(databases.target_app_dsn) as product:
        factor = str(uuid.uuid4())
        product.execute(
            "INSERT INTO auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret)"
            " VALUES (%s, %s, 'phone', 'totp', 'verified', 'JBSWY3DPEHPK3PXP')",
            [factor, session["user"]["id"]],
        )
    carried.run_batch()
    assert carried.raise_fence(Side.TARGET, 5.0).outcome is Outcome.SUCCEEDED
    assert carried.drain(30.0).outcome is Outcome.SUCCEEDED
    carried.synchronise_sequences()
    carried.lift_fence(Side.SOURCE)

    source, target = (rows(databases, side) for side in (Side.SOURCE, Side.TARGET))
    assert source == target
    assert all(source.values()), "a table has no row, so nothing shows that its rows travel"
    with products.client(Side.SOURCE) as browser:
        browser.headers["Authorization"] = f"Bearer {kept['access_token']}"
        known = browser.get("/auth/v1/user")
        assert (known.status_code, known.headers["X-Lab-Side"]) == (200, "source")
        assert [each["id"] for each in known.json()["factors"]] == [factor]
        again = browser.post(REFRESH, json={"refresh_token": session["refresh_token"]})
        assert again.status_code == 200, "the answer with the next token may have been lost"
        assert again.json()["refresh_token"] == kept["refresh_token"]
        third = _refreshed(browser, kept["refresh_token"])
        _refreshed(browser, third["refresh_token"])
        for used in (session["refresh_token"], kept["refresh_token"]):
            refused = browser.post(REFRESH, json={"refresh_token": used})
            assert refused.json()["error_code"] == "refresh_token_already_used"
        log_in = {"email": email, "password": NEW_PASSWORD}
        assert browser.post(LOG_IN, json=log_in).status_code == 200
        assert browser.post(LOG_IN, json=log_in | {"password": PASSWORD}).status_code == 400
        redeemed = {"type": "magiclink", "token_hash": link["hashed_token"]}
        assert browser.post("/auth/v1/verify", json=redeemed).json()["user"]["email"] == email
        assert browser.post("/auth/v1/verify", json=redeemed).status_code == 403


def _refreshed(client: httpx.Client, token: str) -> dict[str, Any]:
    answer = client.post(REFRESH, json={"refresh_token": token})
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()
    return session
