-- What this server and the current user allow.
SELECT current_setting('server_version_num')::integer,
       current_setting('wal_level'),
       r.rolreplication OR r.rolsuper,
       has_database_privilege(current_database(), 'CREATE'),
       has_parameter_privilege('session_replication_role', 'SET'),
       current_setting('max_replication_slots')::integer
           - (SELECT count(*) FROM pg_replication_slots)::integer
FROM pg_roles AS r
WHERE r.rolname = current_user
