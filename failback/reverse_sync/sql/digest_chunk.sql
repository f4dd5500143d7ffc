-- Rows and two order-independent sums of row hashes for each bucket of keys in each chunk of one
-- range. The inner OFFSET 0 keeps the image from being computed once for each hash.
SELECT {code} AS code, count(*), sum(first), sum(second)
FROM (
    SELECT chunk, {bucket} AS bucket, {first} AS first, {second} AS second
    FROM (
        SELECT {chunk} AS chunk, {key} AS key, {image} AS image
        FROM {table}
        WHERE {range}
        OFFSET 0
    ) AS images
) AS hashes
GROUP BY code
