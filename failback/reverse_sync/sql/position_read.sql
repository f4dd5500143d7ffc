-- The stream's state as the receiver holds it, and the receiver's own log position.
SELECT s.slot,
       s.system_identifier,
       s.lsn::text,
       s.batch,
       s.updated_at,
       s.receiver_slot,
       s.receiver_lsn::text,
       pg_current_wal_insert_lsn()::text,
       coalesce(
           (SELECT array_agg(t.name) FROM failback.stream_table AS t
            WHERE t.stream = s.name AND t.copy_whole), '{}'),
       coalesce(
           (SELECT md5(string_agg(t.name, E'\n' ORDER BY t.name)) FROM failback.stream_table AS t
            WHERE t.stream = s.name), ''),
       s.capture,
       s.receiver_capture,
       s.timeline,
       s.applied::text,
       s.acknowledged,
       coalesce(
           (SELECT jsonb_object_agg(t.name, t.unproven) FROM failback.stream_table AS t
            WHERE t.stream = s.name AND t.unproven <> ''), '{}'),
       s.proved_fenced,
       coalesce(
           (SELECT jsonb_object_agg(t.name, t.stopped) FROM failback.stream_table AS t
            WHERE t.stream = s.name AND t.stopped <> ''), '{}'),
       coalesce(
           (SELECT jsonb_object_agg(t.name, t.uncaptured) FROM failback.stream_table AS t
            WHERE t.stream = s.name AND t.uncaptured <> ''), '{}'),
       s.lost,
       s.proved_raising,
       to_regclass('failback.catch_up') IS NOT NULL
FROM failback.stream AS s
WHERE s.name = %(stream)s
