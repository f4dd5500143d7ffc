-- The transaction that the limit falls into; no row where there are fewer changes.
SELECT xid::text
FROM failback.changelog
WHERE NOT pg_visible_in_snapshot(xid, %(applied)s::pg_snapshot)
ORDER BY xid
OFFSET %(limit)s
LIMIT 1
