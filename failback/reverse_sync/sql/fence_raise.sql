-- Up, and on disk when this returns. The answer is the state from before. The change does not
-- wait for the end of the transaction, so whoever reads it from now on is refused. A fence that was
-- down is counted first, so that nobody finds it up with the old count; one that an older version
-- installed has no count.
SELECT s.last_value = 1 AND s.is_called AS was_down,
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.setval('failback.fence', 2 + 0 * coalesce(
           CASE WHEN s.last_value = 1 AND s.is_called
                THEN pg_catalog.nextval(pg_catalog.to_regclass('failback.raisings')) END, 0))
FROM failback.fence AS s
