-- Schemas and rights in one new database of the target. Run as the superuser.
ALTER SCHEMA public OWNER TO app_owner;
GRANT USAGE ON SCHEMA public TO product, anon, authenticated, service_role;
CREATE SCHEMA auth AUTHORIZATION app_owner;
GRANT USAGE ON SCHEMA auth TO product;

ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT USAGE ON SCHEMAS TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO product;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT USAGE, SELECT ON SEQUENCES TO product;
