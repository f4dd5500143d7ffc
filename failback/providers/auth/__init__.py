"""Sessions over a rollback: GoTrue's API on both sides, and the fake."""

from failback.providers.auth.bridge import BridgeSettings, GoTrueBridge
from failback.providers.auth.fake import FakeAuth, fake_bridge
from failback.providers.auth.http import HttpAuthSide
from failback.providers.auth.opening import open_auth

__all__ = [
    "BridgeSettings",
    "FakeAuth",
    "GoTrueBridge",
    "HttpAuthSide",
    "fake_bridge",
    "open_auth",
]
