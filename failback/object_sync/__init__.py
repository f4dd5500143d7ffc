"""Carries the target's stored objects to the source, and compares both sides."""

from failback.object_sync.engine import ObjectSync

__all__ = ["ObjectSync"]
