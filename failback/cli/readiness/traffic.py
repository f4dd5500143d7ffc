"""Questions about what sends customers somewhere: the balancer, the names, the checks."""

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.models.common import Outcome
from failback.ports import LoadBalancer, ServiceChecks


async def examine_balancer(estate: Estate, balancer: LoadBalancer) -> list[Finding]:
    """Look at every backend with both its servers, and at the map of doors."""
    part = Part("balancer")
    for service, routes in estate.traffic.routes.items():
        for route in routes:
            question = f"{service.value}: backend {route.backend} has both servers"
            try:
                source, target = await balancer.read_weights(route)
            except FailbackError as error:
                part.refuse(question, error)
                continue
            told = f"{source.server} {source.weight}, {target.server} {target.weight}"
            down = [server.server for server in (source, target) if not server.up]
            if down:
                told += f"; down: {', '.join(down)}"
            part.say(
                question,
                None if down else True,
                told,
                "Find out why the balancer's own check fails for this server.",
            )
    await _examine_doors(part, estate, balancer)
    return part.findings


async def _examine_doors(part: Part, estate: Estate, balancer: LoadBalancer) -> None:
    question = "requests can be held"
    config = estate.traffic.balancer
    if not config.doors_map:
        part.say(
            question,
            None,
            "no doors_map is configured: clients are refused and retry during a flip.",
            "Set traffic.balancer.doors_map and load the holding script (docs/configuration.md).",
        )
        return
    try:
        closed = await balancer.closed_doors()
    except FailbackError as error:
        part.refuse(question, error)
        return
    held = ", ".join(sorted(service.value for service in closed))
    part.say(question, True, f"held now: {held}" if held else "every door is open")


async def examine_service(estate: Estate, checks: ServiceChecks | None) -> list[Finding]:
    """Look at the product from a customer's place, with one cheap round of probes."""
    part = Part("service")
    if estate.checks is None or checks is None:
        part.say(
            "the service can be checked",
            None,
            "no checks are configured: availability cannot be measured.",
            "Describe the product's URL under checks (docs/configuration.md).",
        )
        return part.findings
    try:
        results = await checks.probe()
    except FailbackError as error:
        part.refuse("the service answers", error)
        return part.findings
    if not results:
        part.say("the service answers", None, "nothing was probed")
    for result in results:
        fine = {Outcome.SUCCEEDED: True, Outcome.FAILED: False, Outcome.INCONCLUSIVE: None}
        part.say(
            f"{result.name} answers",
            fine[result.outcome],
            f"{result.milliseconds:.0f} ms. {result.detail}".rstrip(". "),
            f"Look at {estate.checks.api_url} as a customer would.",
        )
    return part.findings
