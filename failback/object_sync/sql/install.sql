-- What both sides had when they were last known to be equal. No target_etag: the source's own,
-- never had by the target. No source_etag: had by the target, not copied yet. No target_modified:
-- so young when it was listed that a second write could have the same time. No source_modified:
-- the same there, or it was written and not listed since.
CREATE TABLE IF NOT EXISTS known (
    pair TEXT NOT NULL,
    key TEXT NOT NULL,
    target_etag TEXT,
    target_modified TEXT,
    source_etag TEXT,
    source_modified TEXT,
    PRIMARY KEY (pair, key)
) WITHOUT ROWID;

-- Copies that were begun: if the source differs from `known` there, it was us.
CREATE TABLE IF NOT EXISTS intended (
    pair TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (pair, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS uploads (
    pair TEXT NOT NULL,
    key TEXT NOT NULL,
    etag TEXT NOT NULL,
    part_bytes INTEGER NOT NULL,
    upload TEXT NOT NULL,
    PRIMARY KEY (pair, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS recorded (
    pair TEXT PRIMARY KEY,
    at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TEMP TABLE seen_source (
    key TEXT PRIMARY KEY, size INTEGER, etag TEXT, modified TEXT, settled INTEGER
) WITHOUT ROWID;
CREATE TEMP TABLE seen_target (
    key TEXT PRIMARY KEY, size INTEGER, etag TEXT, modified TEXT, settled INTEGER
) WITHOUT ROWID;
CREATE TEMP TABLE marked (key TEXT PRIMARY KEY, at TEXT) WITHOUT ROWID;
CREATE TEMP TABLE work (
    key TEXT PRIMARY KEY,
    target_size INTEGER, target_etag TEXT, target_modified TEXT, target_settled INTEGER,
    source_size INTEGER, source_etag TEXT, source_modified TEXT,
    is_known INTEGER, known_target TEXT, known_source TEXT,
    marked_at TEXT, is_intended INTEGER,
    action TEXT
) WITHOUT ROWID;
