"""Links that messages get on their way: to whom, and by whose right."""

from datetime import UTC, datetime

import pytest

from failback.approvals.links import LinkSigner
from failback.config import Estate
from failback.models.messages import MessageKind
from failback.providers.notify import MessageLinks
from failback.sections.people import ApprovalsConfig

from support.fake_estate import estate_of
from support.messages import message

KEY = "planted-link-key-of-32-characters"
NOW = datetime(2026, 3, 14, tzinfo=UTC)
PEOPLE = {"alice": ["intern", "lead"], "bob": ["intern"]}


def links(**changes: object) -> MessageLinks:
    document = {
        "people": PEOPLE,
        "link_key": KEY,
        "levels": {2: {"roles": ["lead"]}, 3: {"quorum_by_role": {"lead": 1}}},
        **changes,
    }
    approvals = ApprovalsConfig.model_validate(document)
    return MessageLinks(approvals, "https://failback.example/", now=lambda: NOW)


@pytest.mark.parametrize("level", [2, 3])
def test_link_when_the_channel_is_a_person_s_then_it_decides_in_that_name_and_role(
    level: int,
) -> None:
    told = message(MessageKind.APPROVAL_NEEDED, level=level, plan_hash="ab" * 32)
    found = links()(told, "alice")
    token = found["Decide as alice"].removeprefix("https://failback.example/approve/")
    claims = LinkSigner(KEY, 3600).claims(token, NOW)
    assert (claims.who, claims.role, claims.plan_hash) == ("alice", "lead", "ab" * 32)
    assert (claims.estate, claims.rollback_id) == ("shop", "rb2-1")


@pytest.mark.parametrize(
    ("person", "changes"),
    [
        ("", {}),
        ("", {"levels": {}}),
        ("bob", {}),
        ("nobody", {}),
        ("alice", {"link_key": None}),
    ],
)
def test_link_when_nobody_may_decide_by_it_then_only_the_page(
    person: str, changes: dict[str, object]
) -> None:
    told = message(MessageKind.APPROVAL_NEEDED, level=2, plan_hash="ab" * 32)
    found = links(**changes)(told, person)
    assert list(found.values()) == ["https://failback.example/api/rollbacks/rb2-1"]


def test_link_when_nothing_is_to_be_approved_then_none() -> None:
    assert links()(message(MessageKind.ROLLBACK_STARTED, level=2), "alice") == {}


def test_person_when_nobody_knows_them_then_the_configuration_names_those_it_knows() -> None:
    with pytest.raises(ValueError, match="known: alice, bob"):
        estate_of("shop", "x:1", notifications={"hers": {"person": "eve"}})
    known = estate_of("shop", "x:1", notifications={"hers": {"person": "alice"}})
    assert isinstance(known, Estate)
