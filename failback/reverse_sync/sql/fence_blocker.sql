-- Who holds a lock on a table that a new trigger would have to wait for.
SELECT concat_ws(' ', l.pid, a.usename, nullif(a.application_name, ''), a.state) AS who
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'relation'
  AND l.relation = pg_catalog.to_regclass(%(table)s)
  AND l.granted
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
ORDER BY a.xact_start
LIMIT 1
