-- The keys and hashes of the rows in some buckets of some chunks of one range.
SELECT names, {first} AS first, {second} AS second
FROM (
    SELECT ARRAY[{names}]::text[] AS names, {image} AS image
    FROM {table}
    WHERE {range} AND {chunk}::bigint * {size} + {bucket} = ANY ({buckets})
    OFFSET 0
) AS images
