"""Validation of the whole product: its seven checks, the baseline, and the fake."""

from failback.providers.validation.fake import FakeSystemValidation
from failback.providers.validation.opening import default_baseline, open_validation
from failback.providers.validation.validating import CHECKS, EstateValidation

__all__ = [
    "CHECKS",
    "EstateValidation",
    "FakeSystemValidation",
    "default_baseline",
    "open_validation",
]
