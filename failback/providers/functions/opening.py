"""The functions of an estate, from its configuration."""

from failback.config import Estate
from failback.models.common import Side
from failback.providers.functions.asking import FunctionAsker
from failback.providers.functions.fleet import SidedFunctionFleet
from failback.providers.functions.platform import FunctionPlatform
from failback.providers.functions.runtime import RuntimeFunctions
from failback.providers.functions.supabase import SupabaseFunctions
from failback.providers.supabase.opening import open_management
from failback.sections.functions import FunctionsConfig
from failback.system_ports import FunctionFleet


def open_functions(estate: Estate) -> FunctionFleet | None:
    """The functions of an estate; None where it has none. Nothing is connected to yet."""
    config = estate.functions
    if config is None:
        return None
    return SidedFunctionFleet(
        config,
        source=_platform(estate, config, Side.SOURCE),
        target=_platform(estate, config, Side.TARGET),
        asker=FunctionAsker(config),
    )


def _platform(estate: Estate, config: FunctionsConfig, side: Side) -> FunctionPlatform:
    if config.side(side).platform == "supabase":
        return SupabaseFunctions(open_management(estate))
    return RuntimeFunctions(side, config.side(side), config.timeout_seconds)
