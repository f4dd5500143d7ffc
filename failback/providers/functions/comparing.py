"""Whether a function is the same on both sides: its code and its secrets, by digest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from failback.models.common import Outcome
from failback.providers.functions.platform import DeployedFunction, FunctionPlatform
from failback.sections.functions import FunctionConfig

_SHOWN = 12
"""Characters of a digest that tell two apart for a person."""


@dataclass(frozen=True)
class Difference:
    """Something that is not the same.

    Attributes:
        outcome: failed where it is different, inconclusive where nobody can say.
        text: what, and what to do about it.
    """

    outcome: Outcome
    text: str


def code_difference(
    function: FunctionConfig, source: DeployedFunction, target: DeployedFunction
) -> Difference | None:
    """How the code differs; None where it is the same release."""
    if function.code == "may_differ":
        return None
    if function.pins is not None:
        return _from_pins(function, source, target)
    if _kind(source) != _kind(target) or not source.digest:
        return Difference(
            Outcome.INCONCLUSIVE,
            f"its code cannot be compared: the source says {source.digest or 'nothing'},"
            f" the target {target.digest or 'nothing'}; write down under `pins` which of them are"
            " the same release",
        )
    if source.digest != target.digest:
        return Difference(
            Outcome.FAILED,
            f"other code on the source ({_short(source)}) than on the target ({_short(target)});"
            " deploy the same release, or say `code: may_differ`",
        )
    return None


def secret_differences(
    names: tuple[str, ...], source: Mapping[str, str], target: Mapping[str, str], cure: str
) -> Iterator[Difference]:
    """Every secret that the source lacks or has with another value."""
    for name in names:
        if name not in source:
            yield Difference(Outcome.FAILED, f"secret {name} is not set on the source. {cure}")
        elif name not in target:
            yield Difference(
                Outcome.INCONCLUSIVE, f"secret {name} is not set on the target: nothing to compare"
            )
        elif not (source[name] and target[name]):
            silent = "target" if source[name] else "source"
            told = f"the {silent} tells no digest of secret {name}; look at both by hand"
            yield Difference(Outcome.INCONCLUSIVE, told)
        elif source[name].lower() != target[name].lower():
            yield Difference(
                Outcome.FAILED,
                f"secret {name} has another value on the source (SHA-256 {source[name][:_SHOWN]}…)"
                f" than on the target ({target[name][:_SHOWN]}…). {cure}",
            )


def missing_on_source(name: str, platform: FunctionPlatform) -> str:
    """What to say of a function that could not be brought back."""
    return f"not deployed on the source, {platform.place}. {platform.how_to_deploy(name)}"


def _from_pins(
    function: FunctionConfig, source: DeployedFunction, target: DeployedFunction
) -> Difference | None:
    pins = function.pins
    if pins is None or (source.digest, target.digest) == (pins.source, pins.target):
        return None
    moved = [
        f"the {side} has {_short(one)} where {pin[: _SHOWN + 8]}… is pinned"
        for side, one, pin in (("source", source, pins.source), ("target", target, pins.target))
        if one.digest != pin
    ]
    return Difference(
        Outcome.FAILED,
        f"{' and '.join(moved)}; deploy what is pinned, or pin what belongs together now",
    )


def _kind(function: DeployedFunction) -> str:
    return function.digest.partition(":")[0]


def _short(function: DeployedFunction) -> str:
    kind, _, digest = function.digest.partition(":")
    version = f", version {function.version}" if function.version else ""
    return f"{kind}:{digest[:_SHOWN]}…{version}" if digest else f"no digest{version}"
