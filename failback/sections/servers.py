"""How to reach Temporal and the databases, and what the reverse sync may do there."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from failback.sections.base import Section


class TemporalConfig(Section):
    """How to reach Temporal."""

    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    task_queue: str = "failback"
    api_key: SecretStr | None = None
    tls: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    server_ca: Path | None = None
    ui_url: str = ""


class DatabaseConfig(Section):
    """One side's database."""

    dsn: SecretStr
    """libpq connection string of failback's own role; a direct connection, not a pooler."""
    writer_roles: tuple[str, ...] = ()
    """Roles that the product writes as; the fence is proved as each of them where allowed."""
    connect_timeout_seconds: float = 5.0


class TablesConfig(Section):
    """Patterns `schema.table`, with `*` and `?`; exclude wins over include."""

    include: tuple[str, ...] = ("public.*",)
    exclude: tuple[str, ...] = ()


class DataConfig(Section):
    """What the reverse sync carries, and how much of the servers it may use."""

    tables: TablesConfig = TablesConfig()
    batch_changes: int = Field(default=500_000, ge=100)
    """Captured changes per batch; a single larger transaction still goes as one."""
    parallel: int = Field(default=4, ge=1, le=64)
    interval_seconds: float = Field(default=1.0, gt=0)
    max_retained_wal_mb: int = Field(default=10_240, ge=64)
    on_wal_limit: Literal["warn", "drop_slot"] = "warn"
    """What happens there: a warning, or the slot is given up so that the disk is not filled."""
    sequence_headroom: int = Field(default=1000, ge=0)
