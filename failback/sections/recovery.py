"""How a disaster recovery restores beside what is damaged, and gives services their traffic back.

Changes when an operator has to say something else about level 4.
"""

import itertools
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.models.common import Service
from failback.models.recovery import RecoveryPolicy, RecoveryService
from failback.sections.base import Section

_SERVICES: dict[RecoveryService, tuple[Service, ...]] = {
    RecoveryService.AUTHENTICATION: (Service.AUTH,),
    RecoveryService.DATABASE_READ: (Service.DATABASE,),
    RecoveryService.CORE_API: (Service.DATABASE,),
    RecoveryService.AI_SERVICES: (Service.FUNCTIONS,),
    RecoveryService.STORAGE_SERVICES: (Service.STORAGE,),
    RecoveryService.ADVANCED_FEATURES: (),
}
"""Which routes each service stands for where the configuration says nothing of it."""
_ALL = 100


class RecoveryConfig(Section):
    """Where level 4 restores, and how it returns to service."""

    standby_dsn: SecretStr
    """A server beside the source, by a role that may make databases there and owns what it
    restores: a superuser, or a member of every role that owns tables."""
    standby_address: str = ""
    """`host:port` as the balancer reaches it; left out, those of `standby_dsn`."""
    doors: tuple[str, ...] = ()
    """Backends of the balancer whose server of the source leads to its database, and then to what
    was restored: the database's own, and the one that the source's product uses."""
    door_server: str = "source"
    """The name of that server in those backends."""
    logins: tuple[str, ...] = ()
    """Roles that must be able to log in on the standby; left out, `source.writer_roles`."""
    read_only_roles: tuple[str, ...] = ()
    """Roles that only read until `core_api` is enabled; left out, everybody."""
    required_schemas: tuple[str, ...] = ()
    """Schemas that must be there; left out, those of the backup that is taken."""
    auth_health_url: str = ""
    """Where the source's own auth answers to a GET; left out, only its tables are looked at."""
    services: dict[RecoveryService, tuple[Service, ...]] = Field(default_factory=dict)
    """Which of `traffic.routes` each service of the return stands for; see the defaults."""
    stability_seconds: float = Field(default=30.0, ge=0)
    look_seconds: float = Field(default=1.0, gt=0)
    """Between two looks at a service while it must stay stable."""
    patience_seconds: float = Field(default=600.0, gt=0)
    """After so long without its stability a service is held for a person."""
    traffic_shares: tuple[int, ...] = (_ALL,)
    """Percent of a service's traffic, step by step; the last one is 100."""
    gates: Literal["manual", "automatic"] = "manual"
    roles: tuple[str, ...] = ()
    """Who may answer a gate; left out, every known person."""
    amcheck: bool = True
    """Whether an assessment reads every table and index of the source."""
    amcheck_seconds: float = Field(default=60.0, gt=0)
    """After so long, what has not been read is not known. Less than the step's budget."""

    @field_validator("traffic_shares")
    @classmethod
    def _shares_rise_to_all(cls, shares: tuple[int, ...]) -> tuple[int, ...]:
        rising = all(before < after for before, after in itertools.pairwise(shares))
        if not shares or shares[0] < 1 or not rising or shares[-1] != _ALL:
            raise ValueError("they rise from 1 or more to 100")
        return shares

    @model_validator(mode="after")
    def _an_address_has_a_port(self) -> Self:
        _, colon, port = self.standby_address.rpartition(":")
        if self.standby_address and (not colon or not port.isdigit()):
            raise ValueError("standby_address is host:port")
        return self

    def stands_for(self, service: RecoveryService) -> tuple[Service, ...]:
        """The routes that a service of the return stands for."""
        return self.services.get(service, _SERVICES[service])

    def policy(self) -> RecoveryPolicy:
        """What the workflow has to know of it; never a secret."""
        return RecoveryPolicy(
            stability_seconds=self.stability_seconds,
            look_seconds=self.look_seconds,
            patience_seconds=self.patience_seconds,
            traffic_shares=self.traffic_shares,
            gates=self.gates,
            roles=self.roles,
            services={
                service: tuple(route.value for route in self.stands_for(service))
                for service in RecoveryService
            },
        )
