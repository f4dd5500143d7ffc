"""Notifiers: the estate's channels, one module for each vendor, and the fake."""

from failback.providers.notify.channels import ChannelNotifier
from failback.providers.notify.fake import FakeNotifier, Told
from failback.providers.notify.links import MessageLinks

__all__ = ["ChannelNotifier", "FakeNotifier", "MessageLinks", "Told"]
