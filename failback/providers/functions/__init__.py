"""The product's functions on both sides: Supabase, our own runtimes, and the fake."""

from failback.providers.functions.fake import FakeFunctionFleet, FakePlatform
from failback.providers.functions.fleet import SidedFunctionFleet
from failback.providers.functions.opening import open_functions

__all__ = ["FakeFunctionFleet", "FakePlatform", "SidedFunctionFleet", "open_functions"]
