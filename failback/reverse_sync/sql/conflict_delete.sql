-- Every row that will be inserted anew, and those that the sender has no more.
DELETE FROM {table} AS t
USING {locked} AS l
WHERE {t_is_l} AND NOT EXISTS (SELECT FROM {parked} AS p WHERE {l_is_p})
