"""Name servers: the real one and its fake."""

from failback.providers.dns.fake import FakeDnsProvider

__all__ = ["FakeDnsProvider"]
