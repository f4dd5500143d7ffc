-- Every b-tree of one database: an index that is wrong is an error. Each row of its table is
-- looked for in it.
SELECT count(bt_index_check(i.indexrelid, true))
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_am AS m ON m.oid = x.relam
JOIN pg_namespace AS n ON n.oid = x.relnamespace
WHERE m.amname = 'btree'
  AND x.relkind = 'i'
  AND x.relpersistence = 'p'
  AND i.indisvalid
  AND n.nspname NOT LIKE 'pg\_%'
