"""How hosts are spelt and compared: letter case and the final dot make no difference."""

from failback.models.common import Side
from failback.models.traffic import DnsRecord

NO_NAME = "the name does not exist"
NO_ALIAS = "the name is no CNAME"
"""Details of answers that say with authority that there is no host; others know nothing."""


def absolute(host: str) -> str:
    """A host in lower case with its final dot."""
    return host.lower().rstrip(".") + "."


def as_configured(host: str, record: DnsRecord) -> str:
    """A host in the record's own spelling where it is one of the record's two hosts.

    So that an answer can be compared with `record.host(side)` by plain equality, whether
    the configuration writes final dots and capitals or not.
    """
    for side in Side:
        if absolute(record.host(side)) == absolute(host):
            return record.host(side)
    return absolute(host)
