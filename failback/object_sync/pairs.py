"""A bucket of the target with the one of the source where its objects belong."""

from dataclasses import dataclass

from failback.models.common import Side
from failback.sections.storage import BucketConfig
from failback.storage_ports import ObjectEndpoint


@dataclass(frozen=True)
class Pair:
    """Two buckets, and which keys of them.

    Args:
        source: the source's bucket.
        target: the target's bucket.
        prefix: what the keys begin with.
        name: what the inventory calls them. It holds the endpoints: what was known of another
            endpoint must never look like deletes at this one.
    """

    source: str
    target: str
    prefix: str
    name: str

    @classmethod
    def of(cls, config: BucketConfig, source: ObjectEndpoint, target: ObjectEndpoint) -> "Pair":
        """The pair that a configuration names."""
        there, here = config.on(Side.TARGET), config.on(Side.SOURCE)
        name = f"{target.place}/{there}/{config.prefix} > {source.place}/{here}"
        return cls(here, there, config.prefix, name)
