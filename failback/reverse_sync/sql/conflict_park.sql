-- Keep both images. Equal ones are no conflict, and one that is parked already is brought up to
-- date. Says for each row whether it is new.
INSERT INTO failback.conflicts AS open
    (stream, table_name, key, key_image, reason, {receiver_image}, {sender_image})
SELECT {stream}, {name}, {key_text}, {p_image}, p.failback_reason, r.image, s.image
FROM {parked} AS p
LEFT JOIN LATERAL (
    SELECT {t_image} AS image
    FROM {table} AS t WHERE {t_is_p} {t_once}
) AS r ON true
LEFT JOIN LATERAL (
    SELECT {t_image} AS image
    FROM {rows} AS t WHERE {t_is_p} {t_once}
) AS s ON true
WHERE r.image IS DISTINCT FROM s.image
ON CONFLICT (stream, table_name, hashtextextended(key, 0), hashtextextended(key, 1))
    WHERE settled_at IS NULL
DO UPDATE SET reason = EXCLUDED.reason,
              key_image = EXCLUDED.key_image,
              source_image = EXCLUDED.source_image,
              target_image = EXCLUDED.target_image
RETURNING open.xmax = 0
