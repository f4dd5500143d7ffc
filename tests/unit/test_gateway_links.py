"""Pages behind signed links: looking decides nothing, and only our own form decides."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest

from failback.errors import ApprovalRefusedError, UnreachableError
from failback.gateway.links import LinkView
from failback.models.rollback import RecordedDecision

from support.gateway import FakeGateway, gateway_of
from support.webhook_bodies import NOW

TOKEN = "a.signed.token"
PATH = f"/approve/{TOKEN}"
FORM = "application/x-www-form-urlencoded"


@dataclass
class FakeLinks:
    """One link, which is used up by a decision."""

    decided: list[tuple[str, str, str]] = field(default_factory=list)
    looks: int = 0
    away: bool = False

    async def look(self, token: str) -> LinkView:
        self.looks += 1
        if self.away:
            raise UnreachableError("Temporal does not answer.", "Open the link again later.")
        if token != TOKEN or self.decided:
            raise ApprovalRefusedError("The link was used, or is not ours.", "Ask for a new one.")
        return LinkView(
            estate="shop-eu",
            rollback_id="rb2-1",
            level=2,
            reason="<script>alert(1)</script>",
            requested_by="failback",
            approvals_given=0,
            approvals_needed=1,
            plan_hash="a" * 64,
            who="alice",
            role="operations",
            expires_at=NOW + timedelta(hours=1),
        )

    async def decide(self, token: str, verb: str, comment: str) -> RecordedDecision:
        await self.look(token)
        self.decided.append((token, verb, comment))
        return RecordedDecision(
            verb=verb, who="alice", role="operations", comment=comment, at=NOW, counted=True
        )


def gateway(public_url: str = "https://gateway.test") -> tuple[FakeGateway, FakeLinks]:
    links = FakeLinks()
    return gateway_of({"public_url": public_url}, links=links), links


async def opened(client: httpx.AsyncClient) -> str:
    """Open the link as a browser does, which keeps the cookie; the form's hidden value."""
    answer = await client.get(PATH)
    assert answer.status_code == 200, answer.text
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found is not None
    return found.group(1)


async def sent(
    client: httpx.AsyncClient, csrf: str, verb: str = "approve", **headers: str
) -> httpx.Response:
    data = {"csrf": csrf, "verb": verb, "comment": " looked at it "}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(PATH, data=data, headers=named)


async def test_link_when_it_is_looked_at_often_then_nothing_is_decided() -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        for _ in range(3):
            await opened(client)
        head = await client.head(PATH)
    assert head.status_code == 200
    assert links.decided == []


async def test_page_then_it_escapes_what_it_shows_and_is_strict() -> None:
    gate, _ = gateway()
    async with gate.asked() as client:
        answer = await client.get(PATH)
    policy = answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'nonce="{nonce.group(1)}"' in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_form_when_it_is_sent_from_the_page_then_it_decides_once(verb: str) -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        csrf = await opened(client)
        origin = {"origin": "https://gateway.test", "sec_fetch_site": "same-origin"}
        answer = await sent(client, csrf, verb, **origin)
        again = await sent(client, csrf, verb, **origin)
    assert answer.status_code == 200
    assert links.decided == [(TOKEN, verb, "looked at it")]
    assert again.status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_form_when_it_comes_from_elsewhere_then_nothing_is_decided(
    headers: dict[str, str],
) -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        answer = await sent(client, await opened(client), **headers)
    assert answer.status_code == 403
    assert links.decided == []


async def test_form_when_cookie_or_field_are_not_the_pages_then_nothing_is_decided() -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        csrf = await opened(client)
        other_field = await sent(client, "another")
        no_field = await client.post(PATH, data={"verb": "approve"})
        client.cookies.clear()
        no_cookie = await sent(client, csrf)
        neither = await client.post(PATH, data={"verb": "approve", "csrf": ""})
    answers = (other_field, no_field, no_cookie, neither)
    assert [answer.status_code for answer in answers] == [403] * 4
    assert links.decided == []


@pytest.mark.parametrize("verb", ["", "accept_tail", "cancel", "delete"])
async def test_form_when_it_names_no_decision_of_the_link_then_it_is_refused(verb: str) -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        answer = await sent(client, await opened(client), verb)
    assert answer.status_code == 422
    assert links.decided == []


async def test_form_when_it_is_no_form_then_it_is_refused() -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        await opened(client)
        as_json = await client.post(PATH, json={"verb": "approve"})
        broken = await client.post(
            PATH, content=b"&".join(b"a=1" for _ in range(50)), headers={"Content-Type": FORM}
        )
        binary = await client.post(PATH, content=b"\xff\xfe", headers={"Content-Type": FORM})
    answers = (as_json, broken, binary)
    assert [answer.status_code for answer in answers] == [415, 400, 400]
    assert links.decided == []


async def test_link_when_it_is_no_good_then_the_page_says_why() -> None:
    gate, links = gateway()
    async with gate.asked() as client:
        wrong = await client.get("/approve/another")
        long = await client.get(f"/approve/{'x' * 5000}")
        links.away = True
        away = await client.get(PATH)
    assert (wrong.status_code, long.status_code, away.status_code) == (409, 404, 503)
    assert "Ask for a new one." in wrong.text
    assert away.headers["retry-after"] == "5"
    assert "<form" not in wrong.text


async def test_gateway_when_no_links_are_signed_then_there_are_no_pages() -> None:
    async with gateway_of().asked() as client:
        assert (await client.get(PATH)).status_code == 404


async def test_cookie_when_the_gateway_speaks_http_then_browsers_still_send_it() -> None:
    gate, links = gateway("http://gateway.test")
    async with gate.asked("http://gateway.test") as client:
        answer = await sent(client, await opened(client))
    assert answer.status_code == 200
    assert len(links.decided) == 1
