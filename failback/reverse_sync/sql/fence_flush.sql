-- A commit of ours reaches the disk together with every commit before it, also those that were
-- acknowledged with synchronous_commit = off.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.pg_logical_emit_message(true, 'failback', 'fence')
