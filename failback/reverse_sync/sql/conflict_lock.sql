-- Nobody changes these rows from here to our commit. Who held one before has ended by now, and
-- is in the log if it committed.
WITH held AS (
    SELECT {t_key} FROM {table} AS t
    WHERE EXISTS (SELECT FROM {keys} AS k WHERE {t_is_k})
    ORDER BY {t_order}
    FOR UPDATE OF t
)
INSERT INTO {locked} SELECT * FROM held
