"""Endpoints of objects: S3, and the fake."""

from failback.providers.storage.fake import FakeEndpoint
from failback.providers.storage.opening import default_inventory, open_storage
from failback.providers.storage.s3 import S3Endpoint

__all__ = ["FakeEndpoint", "S3Endpoint", "default_inventory", "open_storage"]
