"""Supabase's management API."""

from failback.providers.supabase.client import SupabaseManagement
from failback.providers.supabase.opening import open_management

__all__ = ["SupabaseManagement", "open_management"]
