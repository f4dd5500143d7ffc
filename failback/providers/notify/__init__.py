"""Notifiers: the estate's channels, one module for each vendor, and the fake."""

from failback.providers.notify.channels import ChannelNotifier
from failback.providers.notify.fake import FakeNotifier, Told

__all__ = ["ChannelNotifier", "FakeNotifier", "Told"]
