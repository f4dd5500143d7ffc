-- The open catch-up of a stream.
SELECT c.run,
       c.origin::text,
       c.origin_applied,
       c.upto::text,
       c.applied::text,
       c.logs,
       c.changes,
       c.keys,
       c.is_binary,
       c.shapes
FROM failback.catch_up AS c
WHERE c.stream = %(stream)s
