"""Name servers in memory, for tests of everything that moves names."""

from collections.abc import Iterable, Sequence

from failback.models.common import Side
from failback.models.traffic import DnsRecord, NameAnswer
from failback.providers.dns.names import NO_NAME, absolute, as_configured
from failback.providers.faults import Call, Faults


class FakeDnsProvider(Faults):
    """A zone and its resolvers; every record points to the target at first.

    Args:
        records: the names that exist at the start; others come to be when pointed.
        resolvers: the resolvers that are asked.
        calls: see `Faults`.
    """

    def __init__(
        self,
        records: Iterable[DnsRecord] = (),
        *,
        resolvers: Sequence[str] = ("192.0.2.53:53",),
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("dns", calls)
        self._resolvers = tuple(resolvers)
        self._zone = {
            absolute(record.name): (absolute(record.target), record.ttl) for record in records
        }
        self._before: dict[str, tuple[str, int]] = {}
        self._stale: dict[str, int] = {}
        self._silent: set[str] = set()

    def stale(self, resolver: str, times: int) -> None:
        """Let a resolver give the answer from before the last change so many times more."""
        self._stale[resolver] = times

    def silence(self, resolver: str, *, silent: bool = True) -> None:
        """Let a resolver not answer, or answer again."""
        (self._silent.add if silent else self._silent.discard)(resolver)

    async def point(self, record: DnsRecord, side: Side) -> None:
        """See `DnsProvider.point`."""
        await self._called("point", record, side)
        name = absolute(record.name)
        wanted = (absolute(record.host(side)), record.ttl)
        if name in self._zone and self._zone[name] != wanted:
            self._before[name] = self._zone[name]
        self._zone[name] = wanted

    async def answers(self, record: DnsRecord) -> tuple[NameAnswer, ...]:
        """See `DnsProvider.answers`."""
        await self._called("answers", record)
        return tuple(self._answer(resolver, record) for resolver in self._resolvers)

    async def aclose(self) -> None:
        """See `DnsProvider.aclose`."""
        await self._called("aclose")

    def _answer(self, resolver: str, record: DnsRecord) -> NameAnswer:
        name = absolute(record.name)
        if resolver in self._silent:
            return NameAnswer(
                resolver=resolver, name=record.name, answer=None, detail="no answer in time"
            )
        found = self._zone.get(name)
        if self._stale.get(resolver, 0) > 0:
            self._stale[resolver] -= 1
            found = self._before.get(name, found)
        if found is None:
            return NameAnswer(resolver=resolver, name=record.name, answer=None, detail=NO_NAME)
        return NameAnswer(
            resolver=resolver,
            name=record.name,
            answer=as_configured(found[0], record),
            ttl=found[1],
        )
