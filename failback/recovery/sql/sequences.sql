-- Sequences that give a column its values.
SELECT sn.nspname, s.relname, n.nspname, c.relname, a.attname, q.seqincrement, q.seqmax
FROM pg_class AS s
JOIN pg_namespace AS sn ON sn.oid = s.relnamespace
JOIN pg_sequence AS q ON q.seqrelid = s.oid
JOIN pg_depend AS d
  ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class AS c ON c.oid = d.refobjid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S'
  AND n.nspname NOT LIKE 'pg\_%'
  AND n.nspname <> 'information_schema'
ORDER BY 1, 2
