-- The named tables with everything below them, and how each one is guarded: `always`, `origin`
-- (passed by session_replication_role = replica), `off` or `none`.
WITH RECURSIVE family AS (
    SELECT c.oid
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS wanted (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
    UNION
    SELECT i.inhrelid
    FROM pg_catalog.pg_inherits AS i
    JOIN family AS f ON i.inhparent = f.oid
)
SELECT n.nspname,
       c.relname,
       CASE
           WHEN t.oid IS NULL THEN 'none'
           WHEN t.tgenabled = 'A' THEN 'always'
           WHEN t.tgenabled = 'O' THEN 'origin'
           ELSE 'off'
       END AS guarded
FROM family
JOIN pg_catalog.pg_class AS c USING (oid)
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_trigger AS t
    ON t.tgrelid = c.oid
    AND t.tgname = 'failback_fence'
    AND t.tgfoid = pg_catalog.to_regprocedure('failback.guard()')
    -- 2 before + 4 insert + 8 delete + 16 update + 32 truncate, and not 1: for each statement.
    AND t.tgtype = 62
    AND t.tgqual IS NULL
WHERE c.relkind IN ('r', 'p')
ORDER BY n.nspname, c.relname
