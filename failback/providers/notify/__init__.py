"""Notifiers: the real one and its fake."""

from failback.providers.notify.channels import ChannelNotifier
from failback.providers.notify.fake import FakeNotifier, Message

__all__ = ["ChannelNotifier", "FakeNotifier", "Message"]
