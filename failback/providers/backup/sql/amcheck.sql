-- Damaged heap pages of one database's tables, as amcheck words them.
SELECT n.nspname || '.' || c.relname || ': ' || h.msg
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL verify_heapam(c.oid) AS h
WHERE c.relkind IN ('r', 'm')
  AND c.relpersistence = 'p'
  AND n.nspname NOT LIKE 'pg\_%'
  AND n.nspname <> 'information_schema'
LIMIT 5
