-- The changelog's root. Each armed table has a table of its own below it, with its key's columns.
CREATE TABLE IF NOT EXISTS failback.changelog (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now(),
    -- Set in the root's own rows alone: all of this table may have changed.
    relation oid
);
