"""The configuration switch of an estate, from its configuration."""

from failback.config import Estate
from failback.errors import ConfigurationError
from failback.providers.configuration.env_file import EnvFilePlace
from failback.providers.configuration.http import HttpDocumentPlace
from failback.providers.configuration.json_file import JsonFilePlace
from failback.providers.configuration.place import Place
from failback.providers.configuration.s3 import S3ObjectPlace
from failback.providers.configuration.supabase_secrets import SupabaseSecretsPlace
from failback.providers.configuration.switching import PlacesSwitch
from failback.providers.supabase import open_management
from failback.sections.configuration import PlaceConfig
from failback.system_ports import ConfigurationSwitch


def open_configuration(estate: Estate) -> ConfigurationSwitch | None:
    """The switch of an estate; None where it has no section `configuration`.

    Nothing is connected to yet.

    Raises:
        ConfigurationError: a place is the secrets of a project that no section `supabase` names.
    """
    config = estate.configuration
    if config is None:
        return None
    return PlacesSwitch(
        config.keys, {name: _place(estate, name, place) for name, place in config.places.items()}
    )


def _place(estate: Estate, name: str, config: PlaceConfig) -> Place:
    if config.env_file is not None:
        return EnvFilePlace(config.env_file)
    if config.json_file is not None:
        return JsonFilePlace(config.json_file)
    if config.s3 is not None:
        return S3ObjectPlace(config.s3)
    if config.http is not None:
        return HttpDocumentPlace(config.http, name)
    if config.supabase_secrets:
        return SupabaseSecretsPlace(open_management(estate))
    raise ConfigurationError(f"The place {name} is nowhere.", "Say what kind of place it is.")
