"""The lab's parts for levels 3 and 4: objects, functions, platform APIs, a standby."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from failback.lab.parts import Part
from failback.lab.spec import LabSpec
from failback.models.common import Side

NOT_ASKED_FOR = "not asked for: `failback lab up --system`"


class SystemParts:
    """Everything of a Supabase project besides its database and its routes.

    Args:
        folder: the lab's folder.
        spec: its ports and secrets.
    """

    def __init__(self, folder: Path, spec: LabSpec) -> None:
        self._folder = folder
        self._spec = spec

    def parts(self) -> Iterator[Part]:
        """Each of them, whoever asks before whoever is asked. They start before the products."""
        yield from ()

    def prepare(self) -> None:
        """What has to be there once all of them answer, such as buckets. May be repeated."""

    def product_environment(self, _side: Side) -> Mapping[str, str]:
        """What the product of one side has to know of them."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Their endpoints; `off` says for each part that is not there why."""
        return {"off": {}}

    def sections(self) -> dict[str, Any]:
        """Their sections of `failback.yaml`, by name."""
        return {}
