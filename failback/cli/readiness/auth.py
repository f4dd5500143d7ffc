"""Questions about sessions: whether they would go on."""

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.models.common import Outcome
from failback.providers.auth import open_auth

_QUESTIONS = {
    "source_answers": "the source's auth answers",
    "target_answers": "the target's auth answers",
    "tokens": "the source takes the target's tokens",
    "sessions": "sessions go on",
    "users": "users are the same on both sides",
}
_FINE = {Outcome.SUCCEEDED: True, Outcome.FAILED: False}


async def examine_auth(estate: Estate) -> list[Finding]:
    """Ask both sides. Nothing is asked where the estate does not say where they are."""
    part = Part("auth")
    bridge = open_auth(estate)
    if bridge is None:
        return []
    try:
        report = await bridge.status()
    finally:
        await bridge.aclose()
    for item in report.items:
        fact, _, cure = item.detail.partition("; ")
        part.say(_QUESTIONS.get(item.name, item.name), _FINE.get(item.outcome), fact, cure)
    return part.findings
