-- Another row that has this row's value of a constraint that is checked later than its statement.
SELECT FROM {rows} AS t
JOIN pg_temp.failback_settle_row AS s ON {same_value}
WHERE NOT EXISTS (SELECT FROM pg_temp.failback_settle_key AS k WHERE {t_is_k})
LIMIT 1
