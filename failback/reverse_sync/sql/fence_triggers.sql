-- Every table of this database that has a trigger of the fence, whatever it is called.
SELECT n.nspname, c.relname, t.tgname
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgfoid = pg_catalog.to_regprocedure('failback.guard()')
ORDER BY n.nspname, c.relname
