-- Some keys of a table were changed: their chunks are not known to be equal any more.
WITH marked AS (
    UPDATE failback.ledger_table SET marks = marks + 1
    WHERE stream = {stream} AND name = {name}
    RETURNING bounds, marks
), touched AS (
    SELECT DISTINCT coalesce({place}, 0) AS chunk, marked.marks FROM {keys} AS k CROSS JOIN marked
)
UPDATE failback.ledger AS l SET marks = t.marks
FROM touched AS t
WHERE l.stream = {stream} AND l.name = {name} AND l.chunk = t.chunk
