"""The fake of the reverse sync; the real engine is `failback.reverse_sync`."""

from failback.providers.reverse_sync.fake import FakeReverseSync

__all__ = ["FakeReverseSync"]
