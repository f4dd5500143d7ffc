"""Checks of the running service: the real ones and their fake."""

from failback.providers.checks.fake import FakeServiceChecks

__all__ = ["FakeServiceChecks"]
