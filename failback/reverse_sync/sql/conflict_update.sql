-- Rows that both sides have. Changed in place: a writer who waits for our lock goes on with the
-- new version, where after DELETE and INSERT it would find no row and change nothing.
WITH updated AS (
    UPDATE {table} AS t SET {assignments}
    FROM {rows} AS s
    WHERE {t_is_s}
      AND EXISTS (SELECT FROM {locked} AS l WHERE {l_is_s})
      AND NOT EXISTS (SELECT FROM {parked} AS p WHERE {s_is_p})
    RETURNING {t_key}
)
INSERT INTO {done} SELECT * FROM updated
