SELECT id, table_name, key, source_image, target_image, parked_at, settled_at, settled_by,
       CASE WHEN resolution = '' THEN reason ELSE reason || '; ' || resolution END,
       kept,
       key_image
FROM failback.conflicts
WHERE (%(settled)s OR settled_at IS NULL)
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
ORDER BY id
