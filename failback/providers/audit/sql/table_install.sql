-- The log as a table. It has a schema of its own, because disarming a database drops the schema
-- `failback`. Run in one transaction under the lock of installing; running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS failback_audit;

CREATE TABLE IF NOT EXISTS failback_audit.entries (
    estate text NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    at timestamptz NOT NULL,
    who text NOT NULL,
    subject text NOT NULL,
    -- Text, not jsonb: the hash is over these very characters.
    body text NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (estate, sequence),
    UNIQUE (estate, kind, key)
);

CREATE INDEX IF NOT EXISTS entries_at ON failback_audit.entries (estate, at);
CREATE INDEX IF NOT EXISTS entries_subject ON failback_audit.entries (estate, subject);

CREATE OR REPLACE FUNCTION failback_audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP
        USING ERRCODE = '42501';
END
$$;

-- The owner keeps the right to grant itself rights again; the triggers refuse the owner as well,
-- and a superuser. Who takes them off leaves a chain that no longer fits.
CREATE OR REPLACE TRIGGER entries_are_kept
    BEFORE UPDATE OR DELETE ON failback_audit.entries
    FOR EACH ROW EXECUTE FUNCTION failback_audit.refuse();
CREATE OR REPLACE TRIGGER entries_are_never_truncated
    BEFORE TRUNCATE ON failback_audit.entries
    FOR EACH STATEMENT EXECUTE FUNCTION failback_audit.refuse();
ALTER TABLE failback_audit.entries ENABLE ALWAYS TRIGGER entries_are_kept;
ALTER TABLE failback_audit.entries ENABLE ALWAYS TRIGGER entries_are_never_truncated;

REVOKE ALL ON failback_audit.entries FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON failback_audit.entries FROM CURRENT_USER;
