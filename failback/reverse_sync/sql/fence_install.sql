-- The fence's state and its functions. Run in one transaction; running it again changes nothing,
-- above all not a fence that is up.
CREATE SCHEMA IF NOT EXISTS failback;

-- Everyone's writes look at the state, so everyone may read it.
GRANT USAGE ON SCHEMA failback TO PUBLIC;

-- 1 is down, 2 is up. A sequence is read outside of snapshots, so that a REPEATABLE READ
-- transaction cannot miss a change, and it is written to the log, so that it survives a crash.
DO $$
DECLARE
    granted record;
BEGIN
    IF to_regclass('failback.fence') IS NULL THEN
        CREATE SEQUENCE failback.fence AS smallint MINVALUE 1 MAXVALUE 2 NO CYCLE;
        PERFORM setval('failback.fence', 1);
    END IF;

    -- Default privileges may have let others move it: USAGE allows nextval, UPDATE also setval.
    FOR granted IN
        SELECT DISTINCT a.grantee
        FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.oid = 'failback.fence'::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format(
            'REVOKE ALL ON SEQUENCE failback.fence FROM %s', granted.grantee::regrole);
    END LOOP;
END
$$;
REVOKE ALL ON SEQUENCE failback.fence FROM PUBLIC;
GRANT SELECT ON SEQUENCE failback.fence TO PUBLIC;

-- How often the fence was raised: what was proved behind it counts until it is raised anew. May
-- jump ahead after a crash, which takes a proof away that still holds, and never lets a wrong one.
CREATE SEQUENCE IF NOT EXISTS failback.raisings MINVALUE 0 START 0;

-- Reading the state also takes a ROW EXCLUSIVE lock on the sequence, which the transaction keeps
-- until its end, prepared or not: that lock is how the raiser finds the writers that got in
-- before. It is a fast-path lock, cheaper than an advisory one. Only `= 1` lets a write pass.
-- Everything is qualified, because the writer's search_path is in force here.
CREATE OR REPLACE FUNCTION failback.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('failback.fence'::pg_catalog.regclass)
        OPERATOR(pg_catalog.=) 1
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'writes are fenced: this database takes none for the moment'
        USING ERRCODE = '25006', HINT = 'Try again: traffic is being moved to another database.';
END
$$;

-- Transactions that passed the guard and have not ended; pid is null for prepared ones. Others
-- read sequences too, a backup for hours: only who also has a guarded table locked for writing,
-- which comes before the guard and lasts as long, is a writer.
CREATE OR REPLACE VIEW failback.writers_in_flight AS
    SELECT l.pid, l.virtualtransaction
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation'
      AND l.relation = 'failback.fence'::regclass
      AND l.database = (
          SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.mode = 'RowExclusiveLock'
      AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND EXISTS (
          SELECT FROM pg_catalog.pg_locks AS w
          JOIN pg_catalog.pg_trigger AS t
              ON t.tgrelid = w.relation AND t.tgfoid = 'failback.guard()'::regprocedure
          WHERE w.locktype = 'relation'
            AND w.database = l.database
            -- Not by pid as well: one that is being prepared loses its pid between two looks.
            AND w.virtualtransaction = l.virtualtransaction
            AND w.granted
            AND w.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                           'AccessExclusiveLock')
      );

-- Wait until no writer is in flight. Those that outlast the grace period are terminated, and
-- waited for once more. Returns who was `terminated`, and who is left as `prepared` or `writer`.
CREATE OR REPLACE FUNCTION failback.drain_writers(grace_seconds float8, patience_seconds float8)
RETURNS TABLE (kind text, who text)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + make_interval(secs => grace_seconds);
    writer record;
    refused jsonb := '{}';
BEGIN
    LOOP
        IF NOT EXISTS (SELECT FROM failback.writers_in_flight) THEN
            RETURN;
        END IF;
        EXIT WHEN clock_timestamp() >= deadline;
        PERFORM pg_sleep(0.0005);
    END LOOP;

    FOR writer IN
        SELECT w.pid, concat_ws(' ', w.pid, a.usename, nullif(a.application_name, '')) AS name
        FROM failback.writers_in_flight AS w
        LEFT JOIN pg_stat_activity AS a USING (pid)
        WHERE w.pid IS NOT NULL
    LOOP
        BEGIN
            PERFORM pg_terminate_backend(writer.pid);
            kind := 'terminated';
            who := writer.name;
            RETURN NEXT;
        EXCEPTION WHEN insufficient_privilege THEN
            refused := refused || jsonb_build_object(writer.pid::text, writer.name);
        END;
    END LOOP;

    deadline := clock_timestamp() + make_interval(secs => patience_seconds);
    WHILE clock_timestamp() < deadline AND EXISTS (
        SELECT FROM failback.writers_in_flight AS w
        WHERE w.pid IS NOT NULL AND NOT refused ? w.pid::text
    ) LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;

    RETURN QUERY
        SELECT CASE WHEN w.pid IS NULL THEN 'prepared' ELSE 'writer' END,
               coalesce(p.gid, refused ->> w.pid::text, w.pid::text, w.virtualtransaction)
        FROM failback.writers_in_flight AS w
        LEFT JOIN pg_locks AS t
            ON w.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid'
            AND t.virtualtransaction = w.virtualtransaction
        LEFT JOIN pg_prepared_xacts AS p ON p.transaction = t.transactionid;
END
$$;

-- Try to write as failback's own role and as each of the others, without touching a row, and say
-- what came of it: `refused` (25006), `passed`, `no right`, `no such role` or the SQLSTATE. Also
-- names the triggers that somebody disabled, and the subscriptions, whose apply workers fire no
-- statement triggers. At most `most` tables are tried for each role.
CREATE OR REPLACE FUNCTION failback.prove_fence(roles text[], most int)
RETURNS TABLE (role text, relation text, result text)
LANGUAGE plpgsql SET search_path = pg_catalog SET lock_timeout = '250ms' AS $$
DECLARE
    target record;
    stage text;
BEGIN
    RETURN QUERY
        SELECT NULL::text, t.tgrelid::regclass::text, 'disabled'::text
        FROM pg_trigger AS t
        WHERE t.tgfoid = 'failback.guard()'::regprocedure AND t.tgenabled NOT IN ('A', 'O');
    RETURN QUERY
        SELECT NULL::text, s.subname::text, 'subscription'::text
        FROM pg_subscription AS s
        WHERE s.subenabled
          AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database());

    FOREACH role IN ARRAY array_prepend(NULL, roles) LOOP
        FOR target IN
            SELECT t.tgrelid::regclass::text AS name, c.can_delete, c.can_insert
            FROM pg_trigger AS t, LATERAL (
                SELECT has_table_privilege(r.rolname, t.tgrelid, 'DELETE') AS can_delete,
                       has_table_privilege(r.rolname, t.tgrelid, 'INSERT') AS can_insert
                FROM pg_roles AS r WHERE r.rolname = coalesce(role, current_user)
            ) AS c
            WHERE t.tgfoid = 'failback.guard()'::regprocedure
            ORDER BY c.can_delete OR c.can_insert DESC, 1
            LIMIT most
        LOOP
            stage := 'role';
            BEGIN
                IF role IS NOT NULL THEN
                    PERFORM set_config('role', role, true);
                END IF;
                stage := 'write';
                IF target.can_insert AND NOT target.can_delete THEN
                    EXECUTE format('INSERT INTO %s SELECT WHERE false', target.name);
                ELSE
                    EXECUTE format('DELETE FROM %s WHERE false', target.name);
                END IF;
                result := 'passed';
            EXCEPTION
                WHEN read_only_sql_transaction THEN
                    result := 'refused';
                WHEN insufficient_privilege THEN
                    result := CASE stage WHEN 'role' THEN 'may not act as it' ELSE 'no right' END;
                WHEN OTHERS THEN
                    result := SQLSTATE;
            END;
            PERFORM set_config('role', 'none', true);
            relation := target.name;
            RETURN NEXT;
        END LOOP;
        IF role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            relation := NULL;
            result := 'no such role';
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION failback.drain_writers(float8, float8) FROM PUBLIC;
REVOKE ALL ON FUNCTION failback.prove_fence(text[], int) FROM PUBLIC;
