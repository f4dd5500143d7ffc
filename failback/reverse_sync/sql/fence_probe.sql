-- Whether reading the state left the lock that the raiser waits for.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE relation = 'failback.fence'::regclass
      AND locktype = 'relation'
      AND mode = 'RowExclusiveLock'
      AND granted
      AND pid = pg_catalog.pg_backend_pid()
)
