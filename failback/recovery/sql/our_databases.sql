-- Databases of the standby by name, with what their comments say.
SELECT d.datname, coalesce(shobj_description(d.oid, 'pg_database'), '')
FROM pg_database AS d
WHERE NOT d.datistemplate
ORDER BY d.datname
