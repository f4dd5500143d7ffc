-- Only ever forward: a position that would go back means that two consumers were at work.
UPDATE failback.stream
SET lsn = %(lsn)s::pg_lsn,
    batch = batch + 1,
    changes = changes + %(changes)s,
    keys = keys + %(keys)s,
    applied = coalesce(%(applied)s::pg_snapshot, applied),
    acknowledged = coalesce(%(acknowledged)s, acknowledged),
    proved_fenced = %(proved_fenced)s,
    proved_raising = %(proved_raising)s,
    updated_at = clock_timestamp()
WHERE name = %(stream)s AND lsn <= %(lsn)s::pg_lsn
