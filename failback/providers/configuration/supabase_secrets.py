"""Secrets of a Supabase project's functions, which can be written but not read back.

The management API answers with the SHA-256 of each value in hexadecimal: that is compared.
"""

import re
from collections.abc import Sequence

from failback.errors import FailbackError, SettingsError
from failback.providers.configuration.place import Change, Reading
from failback.providers.configuration.values import Absent
from failback.providers.supabase import SupabaseManagement
from failback.sections.configuration import KeyConfig

_DIGEST = re.compile(r"[0-9a-f]{64}")


class SupabaseSecretsPlace:
    """Implements `Place`.

    The API knows no conditional write: a change by somebody else in between is overwritten.

    Args:
        management: the project; closed with the place.
    """

    def __init__(self, management: SupabaseManagement) -> None:
        self._management = management

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        listed = {one.name: one.value for one in await self._management.secrets()}
        digests: dict[str, str] = {}
        problems: dict[str, FailbackError] = {}
        for key in keys:
            found = listed.get(key.key)
            if found is None or _DIGEST.fullmatch(found):
                digests[key.name] = found or ""
            else:
                problems[key.name] = SettingsError(
                    f"The management API tells no digest of {key.key}, so it cannot be compared.",
                    "Check that supabase.api_url is Supabase's.",
                )
        return Reading(digests, problems)

    async def write(self, changes: Sequence[Change], seen: str) -> None:  # noqa: ARG002 - see above
        """See `Place.write`."""
        kept = {key.key: str(value) for key, value in changes if not isinstance(value, Absent)}
        gone = [key.key for key, value in changes if isinstance(value, Absent)]
        if kept:
            await self._management.put_secrets(kept)
        if gone:
            await self._management.delete_secrets(gone)

    async def aclose(self) -> None:
        """See `Place.aclose`."""
        await self._management.aclose()
