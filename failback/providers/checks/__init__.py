"""Checks of the running service: the real ones, their fake, and what counts availability."""

from failback.providers.checks.availability import AvailabilityProber
from failback.providers.checks.fake import FakeServiceChecks
from failback.providers.checks.http import HttpServiceChecks

__all__ = ["AvailabilityProber", "FakeServiceChecks", "HttpServiceChecks"]
