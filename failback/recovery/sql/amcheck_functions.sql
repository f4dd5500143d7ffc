-- Where amcheck's functions are, and whether this role may call them.
SELECT n.nspname, bool_and(has_function_privilege(p.oid, 'EXECUTE'))
FROM pg_extension AS e
JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_depend AS d
  ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE e.extname = 'amcheck'
  AND p.proname IN ('bt_index_check', 'verify_heapam')
GROUP BY n.nspname
