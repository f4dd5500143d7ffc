-- A share counts as a batch, so that a sender that comes back from before it shows. Where the
-- position has moved, somebody has carried newer rows without taking the catch-up away.
UPDATE failback.stream
SET batch = greatest(batch, %(count)s), acknowledged = greatest(acknowledged, %(count)s)
WHERE name = %(stream)s
  AND lsn = %(origin)s::pg_lsn
  AND coalesce(applied::text, '') = %(origin_applied)s
