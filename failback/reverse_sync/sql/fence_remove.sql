-- What fence_install.sql made; the triggers are gone by now. The schema is not the fence's alone.
DROP FUNCTION IF EXISTS failback.prove_fence(text[], int);
DROP FUNCTION IF EXISTS failback.drain_writers(float8, float8);
DROP VIEW IF EXISTS failback.writers_in_flight;
DROP FUNCTION IF EXISTS failback.guard();
DROP SEQUENCE IF EXISTS failback.fence;
DROP SEQUENCE IF EXISTS failback.raisings;
