"""The parts of one lab, put together: started in order, described, taken down."""

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from failback.certificates import generate
from failback.errors import LabError
from failback.lab.accounts import write_private
from failback.lab.alerting import NOT_ASKED_FOR, AlertingParts
from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    create_database,
    database_exists,
    prepare_roles,
)
from failback.lab.haproxy import HaproxyServer
from failback.lab.names import KEY_NAME, name_server
from failback.lab.objects import ObjectServer
from failback.lab.parts import Part
from failback.lab.postgres import PostgresServer
from failback.lab.processes import tail, wait_until
from failback.lab.product import schema
from failback.lab.programs import ProductServer, WorkerProcess
from failback.lab.runtimes import FunctionRuntime
from failback.lab.settings import SIGNING_KEY, write_settings
from failback.lab.spec import DATABASE, LabSpec
from failback.lab.system import NOT_ASKED_FOR as NO_SYSTEM
from failback.lab.system import SystemParts
from failback.lab.temporal import TemporalServer
from failback.models.common import Side

MAJORS = {Side.SOURCE: 16, Side.TARGET: 18}
SUPERUSERS = {Side.SOURCE: "supabase_admin", Side.TARGET: "postgres"}
_SERVES_SECONDS = 10.0


class LabEstate:
    """Every server of one lab.

    Args:
        folder: the lab's folder.
        spec: its name, ports and secrets.
    """

    def __init__(self, folder: Path, spec: LabSpec) -> None:
        self.folder = folder.absolute()
        self.spec = spec
        self.config = self.folder / "failback.yaml"
        ports, logs = spec.ports, self.folder / "logs"
        self.databases = {
            side: PostgresServer(
                MAJORS[side],
                self.folder / side.value,
                port=ports[f"{side.value}_database"],
                superuser=SUPERUSERS[side],
                name=f"{side.value}-database",
                log=logs / f"{side.value}-database.log",
            )
            for side in Side
        }
        self.system = SystemParts(self.folder, spec) if spec.system else None
        self.products = {
            side: ProductServer(
                side,
                port=ports[f"{side.value}_product"],
                dsn=self._product_dsn(self._way_to(side)),
                files=self.folder / "files" / side.value,
                secrets=spec.secrets,
                more=self.system.product_environment(side) if self.system else {},
                log=logs / f"{side.value}-product.log",
            )
            for side in Side
        }
        self.temporal = TemporalServer(
            self.folder / "temporal", ports["temporal"], ports["temporal_ui"], logs / "temporal.log"
        )
        self.balancer = HaproxyServer(
            self.folder / "balancer",
            api_port=ports["api"],
            database_port=ports["database"],
            product_ports={side: ports[f"{side.value}_product"] for side in Side},
            database_ports={side: ports[f"{side.value}_database"] for side in Side},
            log=logs / "balancer.log",
            source_door_port=ports["source_door"] if self.system else None,
            standby_port=ports["standby_database"] if self.system else None,
        )
        self.names = name_server(
            spec.dns,
            self.folder / "dns",
            port=ports["dns"],
            zone=spec.zone,
            secret=spec.secrets["tsig"],
            log=logs / "dns.log",
        )
        self.worker = WorkerProcess(self.config, logs / "worker.log") if spec.worker else None
        self.alerting = AlertingParts(self.folder, spec, self.config) if spec.detection else None

    def parts(self) -> Iterator[Part]:
        """Every part, in the order in which they stop: the outermost first."""
        if self.alerting is not None:
            yield from self.alerting.parts()
        if self.worker is not None:
            yield self.worker
        yield from (self.balancer, *self.products.values(), self.names, self.temporal)
        if self.system is not None:
            yield from self.system.parts()
        yield from self.databases.values()

    def part(self, name: str) -> Part:
        """The part of this name; raises StopIteration where there is none."""
        return next(part for part in self.parts() if part.name == name)

    def runtime(self, side: Side) -> FunctionRuntime:
        """The functions of one side.

        Raises:
            LabError: this lab runs none.
        """
        if self.system is None:
            raise LabError(
                "This lab has no runtimes of functions.",
                "Start it with `failback lab up --system`.",
            )
        return self.system.runtimes[side]

    def start(self) -> Iterator[Part]:
        """Start everything and wait until all of it answers.

        Yields each part when it was launched, so that its process can be written down before
        anything else happens.

        Raises:
            LabError: a part did not start; the text names it and ends with its log.
        """
        watching = tuple(self.alerting.parts()) if self.alerting is not None else ()
        around = tuple(self.system.parts()) if self.system is not None else ()
        for part in (self.temporal, self.names, *self.databases.values(), *around):
            part.launch()
            yield part
        # They read the configuration, which names a password that a new database has made.
        self._describe()
        for part in watching:
            part.launch()
            yield part
        for part in around:
            part.wait_ready()
        if self.system is not None:
            self.system.prepare()
        yield from self._launch_products()
        for part in (*self.products.values(), self.names, self.temporal):
            part.wait_ready()
        # Last, so that its first checks find everybody there.
        self.balancer.start()
        yield self.balancer
        if not wait_until(self.balancer.serves, _SERVES_SECONDS):
            said = tail(self.balancer.log)
            raise LabError(f"The balancer does not reach every server. Its log ends:\n{said}")
        if self.worker is not None:
            self.worker.start()
            yield self.worker
        for part in watching:
            part.wait_ready()
        if self.system is not None:
            self.system.measure(self.config)

    def _launch_products(self) -> Iterator[Part]:
        """Fill the databases, and launch what asks them."""
        for side, database in self.databases.items():
            database.wait_ready()
            self._fill(side, database)
            self.products[side].launch()
            yield self.products[side]
        if self.system is not None:
            # The source's product comes to its database through it.
            self.balancer.launch()
            yield self.balancer

    def stop(self) -> None:
        """Stop every part, each in its own way: whoever asks before whoever is asked."""
        asking: list[Part] = [self.balancer, self.names]
        if self.worker is not None:
            asking.append(self.worker)
        if self.alerting is not None:
            asking.extend(self.alerting.parts())
        stages: tuple[Iterable[Part], ...] = (
            asking,
            (*self.products.values(), self.temporal),
            tuple(self.system.parts()) if self.system is not None else (),
            self.databases.values(),
        )
        for parts in stages:
            with ThreadPoolExecutor() as executor:
                list(executor.map(lambda part: part.stop(), parts))

    def remove(self) -> None:
        """Delete the lab's folder, and what lies outside of it."""
        for home in self.outside():
            shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.folder)

    def outside(self) -> list[Path]:
        """Folders of servers whose user may not enter the lab's own folder."""
        homes = [database.home for database in self.databases.values()]
        homes += [self.balancer.home, self.names.home]
        if self.system is not None:
            homes.append(self.system.standby.home)
        return [home for home in homes if self.folder not in home.parents and home.exists()]

    @property
    def source(self) -> PostgresServer:
        """The source's database; see `Damaged`."""
        return self.databases[Side.SOURCE]

    @property
    def source_objects(self) -> ObjectServer | None:
        """The source's buckets; see `Damaged`."""
        return None if self.system is None else self.system.objects[Side.SOURCE]

    @property
    def backups(self) -> Path:
        """Where the lab's configuration keeps backups; see `Damaged`."""
        return self.folder / "backups"

    def facts(self) -> dict[str, Any]:
        """Every endpoint, with its secrets; for the lab's owner alone."""
        ports, secrets = self.spec.ports, self.spec.secrets
        return {
            "name": self.spec.name,
            "directory": str(self.folder),
            "config": str(self.config),
            **{side.value: self._side_facts(side) for side in Side},
            "balancer": {
                "api_url": self.balancer.api_url,
                "database_dsn": self._product_dsn(ports["database"]),
                "runtime_api": self.balancer.runtime_api,
                "doors_map": str(self.balancer.doors_map),
            },
            "temporal": {
                "address": self.temporal.address,
                "ui_url": self.temporal.ui_url,
                "namespace": "default",
            },
            "dns": {
                "address": self.names.address,
                "zone": self.spec.zone,
                "server": self.names.kind,
                "key_name": KEY_NAME,
                "key_file": str(self._key_file),
            },
            "product": {"anon_key": secrets["anon_key"], "service_key": secrets["service_key"]},
            "system": self.system.facts() if self.system else {"off": {"system": NO_SYSTEM}},
            **self._alerting_facts(),
        }

    def _alerting_facts(self) -> dict[str, Any]:
        if self.alerting is None:
            return {"detection": {"on": False, "why": NOT_ASKED_FOR}}
        alerting = self.alerting.facts()
        off = alerting.pop("off", "")
        return {"detection": {"on": not off, "why": off}, "alerting": alerting}

    def _side_facts(self, side: Side) -> dict[str, str]:
        database = self.databases[side]
        password = self.spec.secrets["failback_password"]
        return {
            "dsn": database.dsn(FAILBACK_ROLES[side], password, DATABASE),
            "admin_dsn": database.admin_dsn(DATABASE),
            "product_dsn": self._product_dsn(self._way_to(side)),
            "product_url": self.products[side].url,
            "programs": str(database.programs),
        }

    @property
    def _key_file(self) -> Path:
        return self.folder / "tsig.key"

    def _way_to(self, side: Side) -> int:
        """The port by which a side's product reaches its database."""
        through_door = self.system is not None and side is Side.SOURCE
        return self.spec.ports["source_door" if through_door else f"{side.value}_database"]

    def _product_dsn(self, port: int) -> str:
        password = self.spec.secrets["product_password"]
        return f"postgresql://{PRODUCT_ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"

    def _fill(self, side: Side, database: PostgresServer) -> None:
        """Roles, database and the product's schema. May be repeated."""
        secrets = self.spec.secrets
        passwords = {
            FAILBACK_ROLES[side]: secrets["failback_password"],
            PRODUCT_ROLE: secrets["product_password"],
        }
        prepare_roles(database, side, passwords)
        if not database_exists(database, DATABASE):
            create_database(database, side, DATABASE)
        schema.install(database.admin_dsn(DATABASE), side)

    def _describe(self) -> None:
        """Write the configuration, and the update key as knsupdate and kdig read it."""
        secret = self.spec.secrets["tsig"]
        write_private(self._key_file, f"hmac-sha256:{KEY_NAME}:{secret}\n")
        if not (self.folder / SIGNING_KEY).exists():
            generate(self.folder / SIGNING_KEY)
        sections = self.system.sections() if self.system is not None else {}
        write_settings(self.config, self.facts(), self.spec.secrets, sections)
