-- The row as it is now; nobody changes it from here to our commit.
SELECT {t_image} FROM {rows} AS t
WHERE EXISTS (SELECT FROM pg_temp.failback_settle_key AS k WHERE {t_is_k})
FOR UPDATE OF t
