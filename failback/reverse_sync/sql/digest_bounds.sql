-- Keys that part a table into about equally large ranges, taken from a sample of its pages.
SELECT {names}
FROM (
    SELECT {aliased}, row_number() OVER (ORDER BY {columns}) AS place, count(*) OVER () AS size
    FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1)
) AS sample ({aliases}, place, size)
WHERE place < size AND place * {parts} / size <> (place + 1) * {parts} / size
ORDER BY place
