SELECT count(c.xid) > 0,
       min(c.at),
       clock_timestamp(),
       pg_current_wal_flush_lsn() - '0/0'::pg_lsn
FROM failback.changelog AS c
WHERE NOT pg_visible_in_snapshot(c.xid, %(applied)s::pg_snapshot)
