-- The keys, as text, of rows that were left out.
SELECT ARRAY[{s_texts}]::text[]
FROM {rows} AS s
WHERE NOT EXISTS (SELECT FROM {parked} AS p WHERE {s_is_p})
  AND NOT EXISTS (SELECT FROM {done} AS d WHERE {s_is_d})
