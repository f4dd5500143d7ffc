-- Each table that belongs to an armed one's changelog, and whether all four triggers are on it,
-- fire in the wanted mode and call the right function.
SELECT w.root, n.nspname, c.relname,
       (
           SELECT count(*) FROM pg_trigger AS t
           WHERE t.tgrelid = c.oid
             AND t.tgfoid = to_regprocedure(format('failback.changelog_%%s()', w.root))
             AND t.tgenabled = %(mode)s
             AND t.tgqual IS NULL
             -- After each statement: insert with its new rows, update with both, delete with the
             -- old ones, truncate.
             AND (t.tgtype, t.tgoldtable IS NOT NULL, t.tgnewtable IS NOT NULL) IN (
                 (4, false, true), (16, true, true), (8, true, false), (32, false, false))
       ) = 4 AS covered
FROM unnest(%(roots)s::bigint[]) AS w (root)
CROSS JOIN LATERAL (
    SELECT p.relid FROM pg_partition_tree(w.root::oid) AS p
    UNION
    SELECT w.root::oid
) AS p
JOIN pg_class AS c ON c.oid = p.relid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
ORDER BY w.root, c.oid
