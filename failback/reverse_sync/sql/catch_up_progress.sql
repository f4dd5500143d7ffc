-- How far the open catch-up of a stream is.
SELECT c.run,
       count(*),
       count(*) FILTER (WHERE s.carried_at IS NOT NULL),
       sum(s.keys)::bigint,
       coalesce(sum(s.keys) FILTER (WHERE s.carried_at IS NOT NULL), 0)::bigint,
       sum(s.rows)::bigint,
       sum(s.bytes)::bigint,
       c.started_at,
       extract(epoch FROM max(s.carried_at) - c.started_at)::float8
FROM failback.catch_up AS c
JOIN failback.catch_up_share AS s ON s.run = c.run
WHERE c.stream = %(stream)s
GROUP BY c.run
