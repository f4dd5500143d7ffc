"""What is left of the source's auth, stored objects and functions."""

from collections.abc import Iterator
from itertools import islice

from failback.errors import FailbackError
from failback.models.backups import BackupManifest
from failback.models.common import Outcome, Side
from failback.models.recovery import Condition
from failback.ports import Progress
from failback.recovery.assess_database import DatabaseSeen
from failback.recovery.findings import Finding, sound, untold
from failback.recovery.vault import Probe
from failback.recovery.waiting import Loop
from failback.storage_ports import ObjectEndpoint
from failback.system_ports import FunctionFleet

AUTH_SCHEMA = "auth"
_NAMED = 5


def look_at_auth(
    database: DatabaseSeen, manifest: BackupManifest | None, probe: Probe | None
) -> Iterator[Finding]:
    """Its tables are part of the database; its endpoint is asked where one is configured."""
    expected = {
        one.table: one.rows
        for one in (manifest.tables if manifest is not None else ())
        if one.table.startswith(f"{AUTH_SCHEMA}.")
    }
    name = "auth tables"
    if not database.answers:
        gone = any(one.condition is Condition.GONE for one in database.findings)
        detail = "the database that holds them does not answer"
        yield Finding(name, Condition.GONE, detail) if gone else untold(name, detail, vital=True)
    elif not expected:
        yield untold(name, "no backup says which there should be", vital=True)
    else:
        lacking = sorted(expected.keys() - database.rows.keys())
        if len(lacking) == len(expected):
            yield Finding(name, Condition.GONE, f"none of {len(expected)} can be read")
        elif lacking:
            names = ", ".join(lacking[:_NAMED])
            yield Finding(name, Condition.CORRUPTED, f"cannot be read: {names}")
        else:
            users = database.rows.get(f"{AUTH_SCHEMA}.users")
            told = "" if users is None else f", {users:,} users"
            yield sound(name, f"all {len(expected)} can be read{told}")
    if probe is None:
        yield untold("auth endpoint", "recovery.auth_health_url is not configured")
        return
    item = probe.ask()
    # It fails as long as its database does: by itself it is nothing that a restore mends.
    condition = Condition.HEALTHY if item.outcome is Outcome.SUCCEEDED else Condition.DEGRADED
    yield Finding("auth endpoint", condition, item.detail)


def look_at_storage(
    buckets: tuple[tuple[str, str], ...],
    source: ObjectEndpoint | None,
    manifest: BackupManifest | None,
    progress: Progress,
) -> Iterator[Finding]:
    """Whether each bucket is there, and has objects where it had some when it was backed up.

    One that is empty may never have had any: the target's come with the storage sync.
    """
    if source is None or not buckets:
        yield untold("buckets", "no storage is configured: nothing was looked at", vital=True)
        return
    had = {
        one.bucket: one.objects
        for one in (manifest.buckets if manifest is not None else ())
        if manifest is not None and manifest.side is Side.SOURCE
    }
    missing = 0
    for bucket, _ in buckets:
        progress(f"Looking at the bucket {bucket}.")
        name = f"bucket {bucket}"
        try:
            state = source.state(bucket)
            if not state.exists:
                missing += 1
                yield Finding(name, Condition.CORRUPTED, state.problem or "it is not there")
                continue
            has = any(page.objects for page in islice(source.listed(bucket, ""), 1))
        except FailbackError as error:
            yield untold(name, error.cause, vital=True)
            continue
        kept = "keeps versions" if state.versioned else "keeps no versions"
        if not has and had.get(bucket):
            detail = f"it is empty, and had {had[bucket]:,} objects when it was backed up"
            yield Finding(name, Condition.CORRUPTED, detail)
        else:
            yield sound(name, f"it is there and {kept}" + ("" if has else "; it is empty"))
    if missing == len(buckets):
        yield Finding("buckets", Condition.GONE, f"none of {len(buckets)} is there")


def look_at_functions(
    functions: FunctionFleet | None, loop: Loop, *, database_is_sound: bool, progress: Progress
) -> Iterator[Finding]:
    """What the platform says of each function, and what each answers on the source."""
    if functions is None:
        yield untold("functions", "none are configured: nothing was looked at", vital=True)
        return
    progress("Asking the source's functions.")
    try:
        names = loop.run(functions.names())
        status = loop.run(functions.status())
    except FailbackError as error:
        yield untold("functions", error.cause, vital=True)
        return
    for item in status.items:
        if item.outcome is Outcome.SUCCEEDED:
            yield sound(f"function {item.name}", item.detail)
        elif item.outcome is Outcome.FAILED:
            yield Finding(f"function {item.name}", Condition.CORRUPTED, item.detail)
        else:
            yield untold(f"function {item.name}", item.detail)
    if not names:
        yield sound("functions", "there are none")
    for name in names:
        try:
            item = loop.run(functions.probe(name, Side.SOURCE))
        except FailbackError as error:
            yield untold(f"function {name} answers", error.cause)
            continue
        if item.outcome is Outcome.SUCCEEDED:
            yield sound(f"function {name} answers", item.detail)
            continue
        # A function is switched on again by itself, and needs the database to answer.
        why = "" if database_is_sound else " It may only lack its database."
        yield Finding(f"function {name} answers", Condition.DEGRADED, item.detail + why)
