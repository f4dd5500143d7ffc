-- Down, and on disk when this returns. The answer is the state from before.
SELECT s.last_value = 1 AND s.is_called AS was_down,
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.setval('failback.fence', 1)
FROM failback.fence AS s
