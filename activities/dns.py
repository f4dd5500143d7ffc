"""Effects on the product's names."""

import asyncio
import time

from temporalio import activity

from activities.failures import maps_errors
from activities.heartbeating import beating
from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.models.requests import PointNamesRequest
from failback.models.traffic import DnsRecord, DnsReport, NameAnswer
from failback.ports import DnsProvider

_ASK_SECONDS = 0.1
"""How often resolvers are asked while they are waited for."""


class DnsActivities:
    """Points names at a side.

    Args:
        dns: the estate's name server; None where the estate moves no names.
    """

    def __init__(self, dns: DnsProvider | None) -> None:
        self._dns = dns

    @activity.defn
    @maps_errors
    async def point_names(self, request: PointNamesRequest) -> DnsReport:
        """Change every record, then wait until every resolver answers with the new host.

        Inconclusive when a resolver still answers otherwise at the end of the wait: its
        cache may hold the old host until the record's TTL has passed.
        """
        if self._dns is None or not request.records:
            return DnsReport(outcome=Outcome.SUCCEEDED, detail="the estate moves no names")
        async with beating(0.5):
            for record in request.records:
                await self._dns.point(record, request.live)
            answers, wrong = await self._settled(self._dns, request)
        return DnsReport(
            outcome=Outcome.INCONCLUSIVE if wrong else Outcome.SUCCEEDED,
            answers=answers,
            detail="; ".join(wrong)
            or f"{len(request.records)} names point to the {request.live.value}",
            attempts=activity.info().attempt,
        )

    async def _settled(
        self, dns: DnsProvider, request: PointNamesRequest
    ) -> tuple[tuple[NameAnswer, ...], list[str]]:
        """Ask until all answers are right or the wait is over."""
        deadline = time.monotonic() + request.wait_seconds
        while True:
            answers: list[NameAnswer] = []
            wrong: list[str] = []
            for record in request.records:
                try:
                    seen = await dns.answers(record)
                except UnreachableError as error:
                    wrong.append(error.cause)
                    continue
                answers.extend(seen)
                wrong.extend(_wrong_answers(record, request.live, seen))
            if not wrong or time.monotonic() >= deadline:
                return tuple(answers), wrong
            await asyncio.sleep(_ASK_SECONDS)


def _wrong_answers(record: DnsRecord, live: Side, answers: tuple[NameAnswer, ...]) -> list[str]:
    """A sentence for each resolver that does not answer with the wanted host and TTL."""
    wanted = record.host(live).rstrip(".").lower()
    wrong = [
        f"{answer.resolver} answers {answer.name} with "
        f"{answer.answer or answer.detail or 'nothing'}, wanted {wanted}"
        for answer in answers
        if (answer.answer or "").rstrip(".").lower() != wanted
    ]
    if not answers:
        wrong.append(f"no resolver answered for {record.name}")
    return wrong
