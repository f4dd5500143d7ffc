-- Roles of a server by name, with whether they may log in.
SELECT rolname, rolcanlogin FROM pg_roles
