"""Name servers: the real one and its fake."""

from failback.providers.dns.fake import FakeDnsProvider
from failback.providers.dns.rfc2136 import Rfc2136DnsProvider

__all__ = ["FakeDnsProvider", "Rfc2136DnsProvider"]
