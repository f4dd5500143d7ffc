-- Replica identities that arming changed, with the tables as they are named now.
SELECT u.object, n.nspname, c.relname, u.was
FROM failback.undo AS u
LEFT JOIN pg_class AS c ON c.oid = to_regclass(u.object)
LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE u.kind = 'replica identity'
ORDER BY u.object
