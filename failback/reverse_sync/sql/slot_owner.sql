SELECT coalesce(s.database::text, '(none)'), coalesce(s.plugin::text, '(none)')
FROM pg_replication_slots AS s
WHERE s.slot_name = %(slot)s
