-- A row that finds another one with its key, or with a value that must be unique, is left out.
WITH inserted AS (
    INSERT INTO {into} AS t ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM {rows} AS s
    WHERE NOT EXISTS (SELECT FROM {done} AS d WHERE {s_is_d})
      AND NOT EXISTS (SELECT FROM {parked} AS p WHERE {s_is_p})
    ON CONFLICT DO NOTHING
    RETURNING {t_key}
)
INSERT INTO {done} SELECT * FROM inserted
