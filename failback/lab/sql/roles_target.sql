-- The roles of the target, as a managed Postgres allows them: failback is no superuser, the
-- product's tables belong to a role that nobody logs in as.
-- Run once a server as its superuser; running it again changes nothing.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('app_owner', 'NOLOGIN'),
            ('anon', 'NOLOGIN NOINHERIT'),
            ('authenticated', 'NOLOGIN NOINHERIT'),
            ('service_role', 'NOLOGIN NOINHERIT BYPASSRLS'),
            ('failback', 'LOGIN REPLICATION'),
            ('product', 'LOGIN')
        ) AS roles (name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        END IF;
    END LOOP;
END
$$;

-- Triggers and publications need ownership, which membership gives.
GRANT app_owner, pg_signal_backend, pg_monitor, pg_read_all_data TO failback;
GRANT SET ON PARAMETER session_replication_role TO failback;
-- The fence is proved by a write as the product's own role.
GRANT product TO failback WITH INHERIT FALSE, SET TRUE;
