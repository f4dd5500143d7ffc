"""Whether the standby can take what is restored: it answers, takes writes, has roles and room."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

from failback.errors import FailbackError
from failback.models.backups import BackupManifest
from failback.models.common import Outcome
from failback.models.system import Item, ItemsReport
from failback.recovery.choosing import choose
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Standby
from failback.recovery.statements import statement
from failback.reverse_sync.connections import Connection

_PROBE = "failback_probe"


def activate(settings: RecoverySettings, hands: Hands, standby: Standby) -> ItemsReport:
    """See `Recovery.activate`."""
    manifest = _manifest(hands)
    with standby.session() as session:
        items = (
            *_server(session, manifest),
            *_roles(session, settings, manifest),
            _takes_databases(session),
        )
    return ItemsReport(items=items, note=f"the standby {standby.place}")


def _manifest(hands: Hands) -> BackupManifest | None:
    try:
        choice = choose(hands.vault)
        return hands.vault.checked(choice.backup)[0] if choice.backup else None
    except FailbackError:
        return None


def _server(session: Connection, manifest: BackupManifest | None) -> Iterator[Item]:
    recovering, read_only, major, makes_databases, _ = session.execute(
        statement("standby")
    ).fetchall()[0]
    if recovering or read_only:
        why = "it is in recovery: promote it" if recovering else "it only reads"
        yield Item(name="takes writes", outcome=Outcome.FAILED, detail=why)
    else:
        yield Item(name="takes writes", outcome=Outcome.SUCCEEDED)
    yield (
        Item(name="makes databases", outcome=Outcome.SUCCEEDED)
        if makes_databases
        else Item(
            name="makes databases",
            outcome=Outcome.FAILED,
            detail="the role of recovery.standby_dsn needs CREATEDB, or to be a superuser",
        )
    )
    if manifest is None:
        detail = f"PostgreSQL {major}; there is no backup to compare with"
        yield Item(name="version", outcome=Outcome.INCONCLUSIVE, detail=detail)
    elif major < manifest.server_major:
        detail = f"PostgreSQL {major} is older than {manifest.server_major}, which was backed up"
        yield Item(name="version", outcome=Outcome.FAILED, detail=detail)
    else:
        yield Item(name="version", outcome=Outcome.SUCCEEDED, detail=f"PostgreSQL {major}")


def _roles(
    session: Connection, settings: RecoverySettings, manifest: BackupManifest | None
) -> Iterator[Item]:
    """Roles that own or may do something are made; those that log in need their passwords."""
    there: dict[str, bool] = dict(session.execute(statement("roles")).fetchall())
    wanted = set(manifest.roles if manifest is not None else ())
    lacking = sorted(wanted - there.keys() - set(settings.logins))
    refused = []
    for role in lacking:
        try:
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        except psycopg.Error as error:
            if session.closed:
                raise
            refused.append(f"{role}: {error.diag.message_primary}")
    if refused:
        yield Item(name="roles", outcome=Outcome.FAILED, detail="; ".join(refused))
    else:
        made = f"made without login: {', '.join(lacking)}" if lacking else ""
        yield Item(name="roles", outcome=Outcome.SUCCEEDED, detail=made, changed=bool(lacking))
    logins = [role for role in settings.logins if not there.get(role)]
    if logins:
        detail = (
            f"{', '.join(logins)} cannot log in: make them with the passwords that the product has"
        )
        yield Item(name="logins", outcome=Outcome.FAILED, detail=detail)
    else:
        yield Item(name="logins", outcome=Outcome.SUCCEEDED, detail=", ".join(settings.logins))


def _takes_databases(session: Connection) -> Item:
    """A database is made and dropped: what says whether there is room for one."""
    name = sql.Identifier(_PROBE)
    try:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    except psycopg.Error as error:
        if session.closed:
            raise
        detail = str(error.diag.message_primary or error)
        return Item(name="takes a database", outcome=Outcome.FAILED, detail=detail)
    detail = "one was made and dropped; how much its disk still holds, it does not say"
    return Item(name="takes a database", outcome=Outcome.SUCCEEDED, detail=detail)
