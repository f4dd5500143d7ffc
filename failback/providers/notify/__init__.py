"""Notifiers: the real ones and their fake."""

from failback.providers.notify.fake import FakeNotifier, Message

__all__ = ["FakeNotifier", "Message"]
