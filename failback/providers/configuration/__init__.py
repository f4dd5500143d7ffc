"""Keyed values that differ between the sides: where they live, the switch, and the fake."""

from failback.providers.configuration.fake import FakeConfigurationSwitch, FakePlace
from failback.providers.configuration.opening import open_configuration
from failback.providers.configuration.place import Change, Place, Reading
from failback.providers.configuration.switching import PlacesSwitch, item_name

__all__ = [
    "Change",
    "FakeConfigurationSwitch",
    "FakePlace",
    "Place",
    "PlacesSwitch",
    "Reading",
    "item_name",
    "open_configuration",
]
