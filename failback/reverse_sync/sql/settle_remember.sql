INSERT INTO pg_temp.failback_settle_was ({columns})
SELECT {columns} FROM {rows} AS t
WHERE EXISTS (SELECT FROM pg_temp.failback_settle_key AS k WHERE {t_is_k})
