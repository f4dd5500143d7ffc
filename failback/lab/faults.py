"""Faults that the lab can make a running product carry out, and the call that does it."""

import httpx

from failback.errors import LabError, UnreachableError

ERRORS = "errors"
LATENCY = "latency"
AUTH_FAILURES = "auth-failures"

FAULTS: dict[str, str] = {
    ERRORS: "a share of the requests (30 % unless told) answers 500, half of them after the work",
    LATENCY: "requests take 3 seconds longer (or as told)",
    AUTH_FAILURES: "logins are refused",
}
"""What each fault does, by name."""


def apply(
    url: str,
    fault: str,
    on: bool,
    *,
    share: float | None = None,
    seconds: float | None = None,
    timeout_seconds: float = 5.0,
) -> dict[str, dict[str, float]]:
    """Switch a fault of one product process on or off.

    Args:
        url: the product's own base URL, not the balancer's.
        fault: a name in `FAULTS`.
        on: False heals.
        share: part of the requests that are struck, 0..1; None takes the fault's own.
        seconds: what `latency` adds; None takes 3.
        timeout_seconds: how long to wait for the product.

    Returns:
        The faults that are on afterwards, with their settings.

    Raises:
        LabError: there is no such fault, or the product refused.
        UnreachableError: the product does not answer.
    """
    if fault not in FAULTS:
        raise LabError(f"There is no fault {fault!r}.", f"Known: {', '.join(sorted(FAULTS))}.")
    body = {"fault": fault, "on": on, "share": share, "seconds": seconds}
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/_lab/faults", json=body, timeout=timeout_seconds, trust_env=False
        )
    except httpx.HTTPError as error:
        raise UnreachableError(
            f"The product at {url} does not answer: {error or type(error).__name__}.",
            "Is the lab up? See `failback lab status`.",
        ) from error
    if not answer.is_success:
        raise LabError(f"The product at {url} refused the fault: {answer.text[:200]}")
    faults: dict[str, dict[str, float]] = answer.json()["faults"]
    return faults
