"""The storage sync of an estate, from its configuration."""

import os
from pathlib import Path

from failback.models.common import Side
from failback.object_sync.engine import ObjectSync
from failback.providers.storage.s3 import S3Endpoint
from failback.sections.storage import StorageConfig


def open_storage(estate: str, config: StorageConfig) -> ObjectSync:
    """The sync of an estate. Nothing is connected to yet."""
    connections = 2 * config.parallel
    return ObjectSync(
        estate,
        config,
        source=S3Endpoint(Side.SOURCE, config.source, connections),
        target=S3Endpoint(Side.TARGET, config.target, connections),
        inventory=config.inventory or default_inventory(estate),
    )


def default_inventory(estate: str) -> Path:
    """Where the inventory lies when nobody has said so: with the state of the user's programs."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "failback" / estate / "objects.sqlite3"
