-- Schemas and rights in one new database of the source. Run as the superuser.
ALTER SCHEMA public OWNER TO postgres;
GRANT USAGE ON SCHEMA public TO product, anon, authenticated, service_role;
CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
GRANT USAGE ON SCHEMA auth TO postgres, product;

-- Whoever owns the tables of a schema, the product may write them.
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT USAGE ON SCHEMAS TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT USAGE, SELECT ON SEQUENCES TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin
    GRANT USAGE, SELECT ON SEQUENCES TO product;

-- Rows of `auth` may be written by `postgres`, but it gets no trigger there and owns nothing.
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO postgres;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin GRANT ALL ON SEQUENCES TO postgres;
