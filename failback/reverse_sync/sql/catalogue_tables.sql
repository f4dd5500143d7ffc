-- Every ordinary and partitioned table that could be synced. Partitions are represented by
-- their root, so only roots and tables outside a partition tree are rows here.
SELECT c.oid,
       n.nspname,
       c.relname,
       c.relkind = 'p' AS partitioned,
       c.relpersistence = 'u' AS unlogged,
       c.relreplident,
       pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       EXISTS (
           SELECT FROM pg_constraint f
           WHERE f.contype = 'f' AND (f.conrelid = c.oid OR f.confrelid = c.oid)
       ) AS has_foreign_key,
       (
           SELECT coalesce(
               json_agg(json_build_array(l.oid::bigint, m.nspname, l.relname, l.relkind <> 'p',
                                 l.relreplident)
                        ORDER BY m.nspname, l.relname),
               '[]')
           FROM pg_partition_tree(c.oid) AS p
           JOIN pg_class AS l ON l.oid = p.relid
           JOIN pg_namespace AS m ON m.oid = l.relnamespace
           WHERE c.relkind = 'p' AND p.level > 0
       ) AS partitions,
       -- A name says nothing: what is written is what the rule demands, in one form for unique
       -- constraints and unique indexes.
       ARRAY(
           SELECT 'UNIQUE (' || array_to_string(ARRAY(
                      SELECT pg_get_indexdef(i.indexrelid, place, false)
                      FROM generate_series(1, i.indnkeyatts) AS place ORDER BY 1), ', ') || ')'
                  || CASE WHEN (to_jsonb(i) ->> 'indnullsnotdistinct')::boolean
                          THEN ' NULLS NOT DISTINCT' ELSE '' END
                  || coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '')
           FROM pg_index AS i
           WHERE i.indrelid = c.oid AND i.indisunique
           UNION
           SELECT regexp_replace(pg_get_constraintdef(r.oid), ' (NOT VALID|NOT ENFORCED)', '', 'g')
           FROM pg_constraint AS r
           WHERE r.conrelid = c.oid AND r.contype IN ('c', 'f', 'x') AND r.conparentid = 0
           ORDER BY 1
       ) AS rules
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\_%'
  AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
