-- When the oldest transaction began that is not applied.
SELECT min(c.at)
FROM failback.changelog AS c
WHERE NOT pg_visible_in_snapshot(c.xid, %(applied)s::pg_snapshot)
  AND c.xid < %(upto)s::text::xid8
