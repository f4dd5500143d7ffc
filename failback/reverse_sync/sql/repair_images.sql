-- Rows by key, with their values as texts.
SELECT ARRAY[{names}]::text[], {image}
FROM {table} AS t
WHERE ({columns}) IN (SELECT {casts} FROM unnest({arrays}) AS wanted ({wanted}))
