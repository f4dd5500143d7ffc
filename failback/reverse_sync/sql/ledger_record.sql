-- Both sides agreed on these chunks when they had these marks. A chunk that is being marked right
-- now is left alone: it is not clean any more, and nobody waits for anybody.
WITH free AS (
    SELECT l.chunk
    FROM failback.ledger AS l
    JOIN failback.ledger_table AS t USING (stream, name)
    WHERE l.stream = %(stream)s AND l.name = %(name)s AND l.chunk = ANY (%(chunks)s)
      AND t.identity = %(identity)s
    FOR UPDATE OF l SKIP LOCKED
)
UPDATE failback.ledger AS l
SET verified_marks = v.marks, rows = v.rows, first = v.first, second = v.second,
    lsn = %(lsn)s::pg_lsn, verified_at = clock_timestamp()
FROM unnest(%(chunks)s::int[], %(marks)s::bigint[], %(rows)s::bigint[],
            %(first)s::numeric[], %(second)s::numeric[]) AS v (chunk, marks, rows, first, second)
WHERE l.stream = %(stream)s AND l.name = %(name)s AND l.chunk = v.chunk
  AND l.chunk IN (SELECT chunk FROM free)
