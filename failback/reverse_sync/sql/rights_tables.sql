-- What the current user may do with each of the given tables.
SELECT n.nspname || '.' || c.relname,
       has_table_privilege(c.oid, 'SELECT'),
       has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'DELETE'),
       pg_has_role(c.relowner, 'USAGE'),
       row_security_active(c.oid),
       pg_get_userbyid(c.relowner)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(tables)s::oid[])
ORDER BY 1
