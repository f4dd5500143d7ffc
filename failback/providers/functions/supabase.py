"""Functions of a Supabase project, through its management API."""

import re
from collections.abc import Mapping

from failback.errors import PlatformMissingError, PlatformRefusedError
from failback.providers.functions.platform import DeployedFunction
from failback.providers.supabase.answers import Function, FunctionStatus
from failback.providers.supabase.client import SupabaseManagement

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class SupabaseFunctions:
    """Implements `FunctionPlatform` for the side that we return to.

    A function is enabled where it is deployed and `ACTIVE`. The platform has no switch: `enable`
    looks whether that is so, and `disable` refuses.

    Args:
        management: the project; closed with this.
    """

    def __init__(self, management: SupabaseManagement) -> None:
        self._management = management

    @property
    def place(self) -> str:
        """See `FunctionPlatform.place`."""
        return f"Supabase project {self._management.ref}"

    def how_to_deploy(self, name: str) -> str:
        """See `FunctionPlatform.how_to_deploy`."""
        return (
            f"Deploy it: `supabase functions deploy {name} --project-ref {self._management.ref}`."
        )

    def how_to_set_secrets(self) -> str:
        """See `FunctionPlatform.how_to_set_secrets`."""
        return f"Set them: `supabase secrets set NAME=… --project-ref {self._management.ref}`."

    async def deployed(self) -> Mapping[str, DeployedFunction]:
        """See `FunctionPlatform.deployed`."""
        listed = await self._management.functions()
        return {
            function.slug: self._seen(function)
            for function in listed
            if function.status is not FunctionStatus.REMOVED
        }

    async def secrets(self) -> Mapping[str, str]:
        """See `FunctionPlatform.secrets`."""
        return {
            # Older projects and some tokens are answered something else, such as nothing.
            secret.name: secret.value if _SHA256.fullmatch(secret.value) else ""
            for secret in await self._management.secrets()
        }

    async def enable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.enable`. Changes nothing: what is deployed is enabled."""
        function = await self._management.function(name)
        if function.status is FunctionStatus.REMOVED:
            raise PlatformMissingError(
                f"{name} was removed from {self.place}.", self.how_to_deploy(name)
            )
        return self._seen(function)

    async def disable(self, name: str) -> DeployedFunction:
        """See `FunctionPlatform.disable`. Always refuses: it could only delete."""
        raise PlatformRefusedError(
            f"{self.place} has no switch that disables {name}, and what it deletes is gone.",
            "Take its traffic away at the balancer.",
        )

    async def aclose(self) -> None:
        """See `FunctionPlatform.aclose`."""
        await self._management.aclose()

    def _seen(self, function: Function) -> DeployedFunction:
        throttled = function.status is FunctionStatus.THROTTLED
        return DeployedFunction(
            name=function.slug,
            enabled=function.status is FunctionStatus.ACTIVE,
            digest=f"eszip:{function.ezbr_sha256}" if function.ezbr_sha256 else "",
            version=str(function.version),
            note="throttled by the platform" if throttled else "",
            cure="See the project's usage limits." if throttled else "",
        )
