"""Questions about metrics: whether each rule of the matrix would have something to stand on."""

import asyncio
from datetime import UTC, datetime

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.decision.matrix import ANOMALY_SCORE
from failback.decision.ranges import ranges
from failback.ports import MetricStore


async def examine_metrics(estate: Estate, store: MetricStore | None) -> list[Finding]:
    """Ask the store for every metric that the matrix asks about.

    Nothing is asked of an estate that takes no alerts.
    """
    part = Part("metrics")
    if store is None:
        if estate.gateway is None:
            return []
        part.say(
            "decisions have metrics to stand on",
            None,
            "no metric store is configured: an alert's own word would decide",
            "Name a Prometheus in metrics.prometheus_url.",
        )
        return part.findings
    computed = {ANOMALY_SCORE} - set(estate.queries)
    reads = [
        read for read in ranges(estate.rules, datetime.now(UTC)) if read.metric not in computed
    ]
    answers = await asyncio.gather(
        *(store.read(one.metric, one.start, one.end, one.step_seconds) for one in reads)
    )
    for found in answers:
        names = ", ".join(rule.name for rule in estate.rules if rule.metric == found.metric)
        question = f"{found.metric} is known"
        if found.error:
            part.say(
                question,
                False,
                found.error,
                f"Look at metrics and metrics.queries.{found.metric}; without it: {names}.",
            )
        elif not found.samples:
            part.say(
                question,
                None,
                "no data: no such series, or no traffic",
                f"Say under metrics.queries.{found.metric} how it is asked for, or leave {names} "
                "out (enabled: false).",
            )
        else:
            part.say(question, True, f"{found.samples[-1][1]:.4g} now, for {names}")
    return part.findings
