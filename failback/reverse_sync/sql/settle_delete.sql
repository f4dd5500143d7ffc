DELETE FROM {rows} AS t USING pg_temp.failback_settle_key AS k WHERE {t_is_k}
