INSERT INTO {done}
SELECT {l_key} FROM {locked} AS l
WHERE EXISTS (SELECT FROM {rows} AS s WHERE {l_is_s})
