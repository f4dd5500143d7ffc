WITH inserted AS (
    INSERT INTO {into} AS t ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM {rows} AS s
    WHERE ARRAY[{s_texts}]::text[] = {wanted}
    RETURNING {t_key}
)
INSERT INTO {done} SELECT * FROM inserted
