"""The management API of an estate's project, from its configuration."""

from failback.config import Estate
from failback.errors import ConfigurationError
from failback.providers.supabase.client import SupabaseManagement


def open_management(estate: Estate) -> SupabaseManagement:
    """The project of an estate. Nothing is connected to yet.

    Raises:
        ConfigurationError: the configuration names no project.
    """
    if estate.supabase is None:
        raise ConfigurationError(
            "The configuration names no Supabase project.",
            "Add a section `supabase` with its ref and an access token (docs/configuration.md).",
        )
    return SupabaseManagement(estate.supabase)
