-- What this server and the current user allow.
SELECT current_setting('server_version_num')::integer,
       current_setting('wal_level'),
       r.rolreplication OR r.rolsuper,
       has_database_privilege(current_database(), 'CREATE'),
       {may_set},
       current_setting('max_replication_slots')::integer
           - (SELECT count(*) FROM pg_replication_slots)::integer,
       ARRAY(
           SELECT s.subname::text FROM pg_subscription AS s
           WHERE s.subenabled
             AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           ORDER BY 1
       )
FROM pg_roles AS r
WHERE r.rolname = current_user
