-- Rows that both sides changed after the flip. The receiver's version stays in its table; both
-- are kept here as text until a person settles the matter.
CREATE TABLE IF NOT EXISTS failback.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    table_name text NOT NULL,
    key text NOT NULL,
    -- The key's values by column, by which the row is found again.
    key_image jsonb,
    reason text NOT NULL,
    source_image jsonb,
    target_image jsonb,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    settled_by text NOT NULL DEFAULT '',
    resolution text NOT NULL DEFAULT '',
    -- Whose version a person kept: source or target.
    kept text
);

-- A table that an earlier version made.
ALTER TABLE failback.conflicts ADD COLUMN IF NOT EXISTS key_image jsonb;
ALTER TABLE failback.conflicts ADD COLUMN IF NOT EXISTS kept text;

-- One open conflict a row: a change that comes again finds the one that is parked already. A key
-- may be too long for an index; two seeds of 64 bits are not.
CREATE UNIQUE INDEX IF NOT EXISTS conflicts_open ON failback.conflicts
    (stream, table_name, hashtextextended(key, 0), hashtextextended(key, 1))
    WHERE settled_at IS NULL;
