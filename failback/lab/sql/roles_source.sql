-- The roles of the source, as hosted Supabase gives them: `postgres` is no superuser there.
-- Run once a server as its superuser, `supabase_admin`; running it again changes nothing.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('postgres', 'LOGIN REPLICATION BYPASSRLS CREATEROLE CREATEDB'),
            ('supabase_auth_admin', 'NOLOGIN NOINHERIT'),
            ('anon', 'NOLOGIN NOINHERIT'),
            ('authenticated', 'NOLOGIN NOINHERIT'),
            ('service_role', 'NOLOGIN NOINHERIT BYPASSRLS'),
            ('product', 'LOGIN')
        ) AS roles (name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        END IF;
    END LOOP;
END
$$;

GRANT pg_signal_backend, pg_monitor, pg_read_all_data TO postgres;
GRANT anon, authenticated, service_role TO postgres;
GRANT SET ON PARAMETER session_replication_role TO postgres;
-- The fence is proved by a write as the product's own role.
GRANT product TO postgres WITH INHERIT FALSE, SET TRUE;
