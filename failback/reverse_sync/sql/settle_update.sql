UPDATE {rows} AS t SET {assignments}
FROM pg_temp.failback_settle_row AS s, pg_temp.failback_settle_key AS k
WHERE {t_is_k}
