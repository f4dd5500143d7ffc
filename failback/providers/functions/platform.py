"""What a side's functions run on: the interface that every platform implements."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class DeployedFunction:
    """One function as its platform knows it.

    Attributes:
        name: its name, the same on both sides.
        enabled: whether it answers its callers.
        digest: of its code, `<kind>:<hexadecimal>`: two of one kind are equal where the code is.
            Empty where the platform knows none.
        version: the platform's own count or name of the deployment.
        note: what else an operator has to know, such as that it is throttled.
        cure: what can be done about that.
    """

    name: str
    enabled: bool
    digest: str = ""
    version: str = ""
    note: str = ""
    cure: str = ""


class FunctionPlatform(Protocol):
    """The functions of one side.

    Raises everywhere: UnreachableError, CredentialsError, MissingRightError,
    PlatformMissingError, PlatformRefusedError.
    """

    @property
    def place(self) -> str:
        """What messages call it."""
        ...

    def how_to_deploy(self, name: str) -> str:
        """What an operator does to have a function there."""
        ...

    def how_to_set_secrets(self) -> str:
        """What an operator does to have the right secrets there."""
        ...

    async def deployed(self) -> Mapping[str, DeployedFunction]:
        """Every function by name."""
        ...

    async def secrets(self) -> Mapping[str, str]:
        """SHA-256 of every secret's value in hexadecimal, by name; empty where it is not told."""
        ...

    async def enable(self, name: str) -> DeployedFunction:
        """Let a function answer. May be repeated. Returns it as it was read back."""
        ...

    async def disable(self, name: str) -> DeployedFunction:
        """Let a function answer no more. May be repeated. Returns it as it was read back."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
