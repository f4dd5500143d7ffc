-- Which server and database this is, and how far its log has got. A standby has replayed some.
SELECT current_database(),
       current_setting('server_version'),
       current_setting('server_version_num')::integer / 10000,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn() END::text,
       ARRAY(SELECT rolname::text FROM pg_roles
             WHERE rolname NOT LIKE 'pg\_%' ORDER BY rolname COLLATE "C")
