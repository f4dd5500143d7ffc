-- Every valid b-tree of the product's tables: what it indexes, in its order, and of which rows.
SELECT x.oid,
       n.nspname,
       x.relname,
       tn.nspname,
       t.relname,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true)
             FROM generate_series(1, i.indnkeyatts) AS k),
       coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_am AS m ON m.oid = x.relam
WHERE m.amname = 'btree'
  AND x.relkind = 'i'
  AND x.relpersistence = 'p'
  AND i.indisvalid
  AND tn.nspname NOT LIKE 'pg\_%'
  AND tn.nspname <> 'information_schema'
ORDER BY n.nspname, x.relname
