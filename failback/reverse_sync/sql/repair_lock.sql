-- Hold rows by key until the transaction ends, so that they stay what they are found to be.
SELECT
FROM {table} AS t
WHERE ({columns}) IN (SELECT {casts} FROM unnest({arrays}) AS wanted ({wanted}))
FOR UPDATE
