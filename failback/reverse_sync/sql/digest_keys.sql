-- The hashes of the rows with given keys.
SELECT names, {first} AS first, {second} AS second
FROM (
    SELECT ARRAY[{names}]::text[] AS names, {image} AS image
    FROM {table}
    WHERE ({columns}) IN (SELECT {casts} FROM unnest({arrays}) AS wanted ({wanted}))
    OFFSET 0
) AS images
