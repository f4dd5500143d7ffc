-- The ledger by table: what its clean chunks add up to, and which are not clean.
SELECT t.name,
       t.identity,
       t.marks,
       t.bounds,
       count(*) FILTER (WHERE c.clean) AS clean,
       coalesce(sum(l.rows) FILTER (WHERE c.clean), 0)::bigint,
       coalesce(sum(l.first) FILTER (WHERE c.clean), 0),
       coalesce(sum(l.second) FILTER (WHERE c.clean), 0),
       min(l.verified_at) FILTER (WHERE c.clean) AS oldest,
       coalesce(array_agg(l.chunk ORDER BY l.chunk) FILTER (WHERE NOT c.clean), '{}') AS dirty,
       coalesce(array_agg(l.marks ORDER BY l.chunk) FILTER (WHERE NOT c.clean), '{}') AS marks
FROM failback.ledger_table AS t
JOIN failback.ledger AS l USING (stream, name)
CROSS JOIN LATERAL (
    SELECT coalesce(l.verified_marks = l.marks, false)
           AND NOT %(cold)s
           AND t.name <> ALL (%(doubted)s::text[]) AS clean
) AS c
WHERE t.stream = %(stream)s
GROUP BY t.stream, t.name
