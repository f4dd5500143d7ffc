-- Up to where the sender's log has been applied here, and the tables of which that is not so.
-- Where changes may have been lost there is no such position. A changelog and comparisons are read
-- by a snapshot: its position is taken later, and what committed in between was not applied.
SELECT CASE WHEN s.lost = '' AND s.capture = 'slot' THEN s.lsn::text ELSE '' END,
       ARRAY(SELECT t.name FROM failback.stream_table AS t
             WHERE t.stream = s.name
               AND (t.copy_whole OR t.stopped <> '' OR t.unproven <> '' OR t.uncaptured <> '')
             ORDER BY t.name COLLATE "C")
FROM failback.stream AS s
WHERE s.name = %(stream)s
