-- The keys, as text, of rows whose value another row has.
SELECT ARRAY[{s_texts}]::text[]
FROM {rows} AS s
WHERE NOT EXISTS (SELECT FROM {parked} AS p WHERE {s_is_p})
  AND EXISTS (SELECT FROM {table} AS t WHERE {same_value} AND NOT ({t_is_s}))
