-- Up, and on disk when this returns. The answer is the state from before. The change does not
-- wait for the end of the transaction, so whoever reads it from now on is refused.
SELECT s.last_value = 1 AND s.is_called AS was_down,
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.setval('failback.fence', 2)
FROM failback.fence AS s
