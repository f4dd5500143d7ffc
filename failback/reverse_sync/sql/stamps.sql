-- One value for each ordinary table that changes with its columns, keys, foreign keys and storage:
-- a rewrite changes rows without telling anybody.
SELECT c.oid::bigint,
       md5(concat_ws(' ', n.nspname, c.relname, c.relkind, c.relreplident, c.relrowsecurity,
           has_table_privilege(c.oid, 'SELECT'),
           (SELECT sum(hash_record_extended(row(
                a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated,
                a.attisdropped, a.attcollation), 0))
            FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0),
           (SELECT sum(hash_record_extended(row(
                i.indexrelid, i.indisprimary, i.indisunique, i.indisvalid, i.indisreplident), 0))
            FROM pg_index AS i WHERE i.indrelid = c.oid),
           (SELECT sum(hash_record_extended(row(k.oid, k.convalidated), 0))
            FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid = c.oid),
           CASE c.relkind
               WHEN 'p' THEN (SELECT sum(hash_record_extended(row(p.oid, p.relfilenode), 0))
                              FROM pg_partition_tree(c.oid) AS tree
                              JOIN pg_class AS p ON p.oid = tree.relid)::text
               ELSE c.relfilenode::text
           END))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'failback')
