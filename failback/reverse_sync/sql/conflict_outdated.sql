-- Conflicts of rows that a later change of the sender could be applied to.
UPDATE failback.conflicts
SET settled_at = clock_timestamp(), settled_by = 'failback',
    resolution = 'a later change of the row was applied'
WHERE stream = {stream} AND table_name = {name} AND settled_at IS NULL
  AND key IN (
      SELECT {key_text} FROM {keys} AS p
      WHERE NOT EXISTS (SELECT FROM {parked} AS k WHERE {p_is_k}))
