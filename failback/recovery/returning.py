"""Gives services their traffic back one by one, and looks whether each is right.

Changes when a service of the gradual return has to be enabled or looked at in another way.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import sql

from failback.errors import FailbackError
from failback.models.common import Outcome, Side
from failback.models.recovery import RecoveryService
from failback.models.system import Item, ItemsReport
from failback.models.traffic import BackendRoute, CheckResult
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Standby, end_sessions
from failback.recovery.statements import statement
from failback.recovery.waiting import Loop
from failback.reverse_sync import fence
from failback.reverse_sync.connections import Servers

_ALL = 100
_READS_ONLY = sql.SQL("default_transaction_read_only")


@dataclass(frozen=True)
class Returner:
    """Enables and looks at the six services.

    Args:
        settings: the estate.
        hands: its ports.
        standby: where the restored database is.
        loop: for asynchronous ports.
    """

    settings: RecoverySettings
    hands: Hands
    standby: Standby
    loop: Loop

    def enable(self, service: RecoveryService, share: int) -> ItemsReport:
        """See `Recovery.enable`."""
        items = [self._one_writer()]
        if items[0].outcome is Outcome.FAILED:
            # Two sides that take writes would lose some: nothing is sent anywhere.
            return ItemsReport(items=tuple(items))
        if service is RecoveryService.AUTHENTICATION:
            items.append(self._unfenced())
        elif service is RecoveryService.DATABASE_READ:
            items.append(self._reading(only=True))
        elif service is RecoveryService.CORE_API:
            items.extend((self._unfenced(), self._reading(only=False)))
        elif service is RecoveryService.AI_SERVICES:
            items.extend(self._functions())
        items.extend(self._weights(service, share))
        return ItemsReport(items=tuple(items))

    def look(self, service: RecoveryService) -> ItemsReport:
        """See `Recovery.look`."""
        looks = {
            RecoveryService.AUTHENTICATION: self._look_at_auth,
            RecoveryService.DATABASE_READ: self._look_at_reading,
            RecoveryService.CORE_API: self._look_at_api,
            RecoveryService.AI_SERVICES: self._look_at_functions,
            RecoveryService.STORAGE_SERVICES: self._look_at_storage,
            RecoveryService.ADVANCED_FEATURES: self._look_at_everything,
        }
        items = tuple(looks[service]())
        return ItemsReport(items=items, note="" if items else "nothing is configured to look with")

    def _one_writer(self) -> Item:
        """The target takes no writes: it is fenced, or nobody reaches it."""
        name = "one writer"
        servers = self._pair
        try:
            with closing(servers.connect(Side.TARGET, autocommit=True)) as session:
                up = fence.is_up(session)
        except FailbackError as error:
            return Item(
                name=name,
                outcome=Outcome.SUCCEEDED,
                detail=f"the target does not answer: {error.cause}",
            )
        except psycopg.Error as error:
            detail = f"whether the target is fenced is not known: {str(error).splitlines()[0]}"
            return Item(name=name, outcome=Outcome.INCONCLUSIVE, detail=detail)
        if up:
            return Item(name=name, outcome=Outcome.SUCCEEDED, detail="the target is fenced")
        if up is None:
            detail = "the target has no fence: see to it that nobody writes there"
            return Item(name=name, outcome=Outcome.INCONCLUSIVE, detail=detail)
        detail = "the target still takes writes: `failback fence raise target`, then repeat"
        return Item(name=name, outcome=Outcome.FAILED, detail=detail)

    def _unfenced(self) -> Item:
        """The restored database came with the fence that its source had when it was backed up."""
        name = "the source's fence"
        servers = self._serving()
        try:
            with closing(servers.connect(Side.SOURCE, autocommit=True)) as session:
                up = fence.is_up(session)
            if not up:
                detail = "it is down" if up is False else "there is none"
                return Item(name=name, outcome=Outcome.SUCCEEDED, detail=detail)
            report = fence.lift(servers, Side.SOURCE)
        except (FailbackError, psycopg.Error) as error:
            detail = str(error).splitlines()[0]
            return Item(name=name, outcome=Outcome.FAILED, detail=detail)
        return Item(
            name=name, outcome=report.outcome, detail=report.detail or "it is down", changed=True
        )

    def _reading(self, *, only: bool) -> Item:
        """Keep the restored database read-only, or let it take writes again."""
        name = "reads only" if only else "takes writes"
        restored = self.standby.live()
        if restored is None:
            detail = "the source's database was not restored: it stays as it is"
            return Item(name=name, outcome=Outcome.SUCCEEDED, detail=detail)
        database = sql.Identifier(restored.name)
        roles: Sequence[str] = self.settings.read_only_roles
        whose: list[sql.Composable] = [
            sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
            for role in roles
        ] or [sql.SQL("DATABASE {}").format(database)]
        change = "ALTER {} SET {} = on" if only else "ALTER {} RESET {}"
        with self.standby.session() as session:
            for one in whose:
                session.execute(sql.SQL(change).format(one, _READS_ONLY))
            # A session keeps the setting that it began with.
            ended = end_sessions(session, restored.name)
        detail = f"{', '.join(roles) or 'everybody'}, and {ended} sessions were ended"
        return Item(name=name, outcome=Outcome.SUCCEEDED, detail=detail, changed=True)

    def _functions(self) -> Iterator[Item]:
        """Each is enabled on the source, which needs its database for that."""
        fleet = self.hands.functions
        if fleet is not None:
            for name in self.loop.run(fleet.names()):
                yield self.loop.run(fleet.bring_back(name))

    def _routes(self, service: RecoveryService) -> tuple[BackendRoute, ...]:
        return tuple(
            route
            for served in self.settings.services.get(service, ())
            for route in self.settings.routes.get(served, ())
        )

    def _weights(self, service: RecoveryService, share: int) -> Iterator[Item]:
        routes = self._routes(service)
        if not routes:
            detail = "no route of the traffic belongs to it"
            yield Item(name="traffic", outcome=Outcome.SUCCEEDED, detail=detail)
            return
        balancer = self.hands.balancer
        try:
            before = self.loop.run(balancer.read_all_weights(routes))
            self.loop.run(balancer.set_all_weights(routes, share, _ALL - share))
            after = self.loop.run(balancer.read_all_weights(routes))
        except FailbackError as error:
            yield Item(name="traffic", outcome=Outcome.FAILED, detail=str(error))
            return
        for route, old, new in zip(routes, before, after, strict=True):
            source, target = (one.weight for one in new)
            right = (source, target) == (share, _ALL - share)
            up = new[0].up or not share
            detail = f"source {source}, target {target}"
            if not up:
                detail += "; the balancer sees its server down"
            yield Item(
                name=f"traffic of {route.backend}",
                outcome=Outcome.SUCCEEDED if right else Outcome.FAILED,
                detail=detail,
                changed=tuple(one.weight for one in old) != (source, target),
            )

    def _look_at_auth(self) -> Iterator[Item]:
        if self.hands.auth is not None:
            yield self.hands.auth.ask()
        yield from self._checks(names=("auth",))
        yield from self._counted("auth.users")

    def _look_at_reading(self) -> Iterator[Item]:
        yield from self._checks(names=("database",))
        yield from self._counted("")

    def _look_at_api(self) -> Iterator[Item]:
        """All that is asked for without what returns later: a journey needs functions as well."""
        yield from self._checks(names=())
        yield from self._counted("")

    def _look_at_everything(self) -> Iterator[Item]:
        checks = self.hands.checks
        if checks is None:
            yield from self._counted("")
            return
        yield from _items(self.loop.run(checks.check()))

    def _look_at_functions(self) -> Iterator[Item]:
        fleet = self.hands.functions
        if fleet is None:
            yield from self._checks(names=())
            return
        for name in self.loop.run(fleet.names()):
            yield self.loop.run(fleet.probe(name, Side.SOURCE))

    def _look_at_storage(self) -> Iterator[Item]:
        endpoint = self.hands.source_objects
        if endpoint is None or not self.settings.buckets:
            yield from self._checks(names=())
            return
        for bucket, _ in self.settings.buckets:
            try:
                state = endpoint.state(bucket)
            except FailbackError as error:
                yield Item(name=f"bucket {bucket}", outcome=Outcome.FAILED, detail=error.cause)
                continue
            outcome = Outcome.SUCCEEDED if state.exists else Outcome.FAILED
            yield Item(name=f"bucket {bucket}", outcome=outcome, detail=state.problem)

    def _checks(self, names: Sequence[str]) -> Iterator[Item]:
        """A cheap round through the balancer; all of it where no names are given."""
        if self.hands.checks is None:
            return
        results = self.loop.run(self.hands.checks.probe())
        yield from _items([one for one in results if not names or one.name in names])

    def _counted(self, table: str) -> Iterator[Item]:
        """Read a row of a table, or of every one, in what serves as the source's database."""
        name = f"{table or 'every table'} can be read"
        try:
            with closing(self._serving().connect(Side.SOURCE, autocommit=True)) as session:
                tables = session.execute(statement("tables")).fetchall()
                for schema, relation, _ in tables:
                    if table in ("", f"{schema}.{relation}"):
                        session.execute(
                            sql.SQL("SELECT FROM {} LIMIT 1").format(
                                sql.Identifier(schema, relation)
                            )
                        )
        except FailbackError as error:
            yield Item(name=name, outcome=Outcome.FAILED, detail=error.cause)
        except psycopg.Error as error:
            detail = str(error).splitlines()[0]
            yield Item(name=name, outcome=Outcome.FAILED, detail=detail)
        else:
            yield Item(name=name, outcome=Outcome.SUCCEEDED)

    @property
    def _pair(self) -> Servers:
        return Servers(
            self.settings.source_dsn,
            self.settings.target_dsn,
            self.settings.connect_timeout_seconds,
        )

    def _serving(self) -> Servers:
        """What serves as the source's database: the restored one, where one took its place."""
        try:
            restored = self.standby.live()
        except FailbackError:
            restored = None
        return self._pair if restored is None else self.standby.servers(restored.name)


def _items(results: Sequence[CheckResult]) -> Iterator[Item]:
    for one in results:
        yield Item(
            name=one.name, outcome=one.outcome, detail=one.detail, milliseconds=one.milliseconds
        )
