-- The batch that shortened the changelog last, and when the oldest transaction began that is not
-- applied.
SELECT s.batch,
       (SELECT min(c.at) FROM failback.changelog AS c
        WHERE NOT pg_visible_in_snapshot(c.xid, %(applied)s::pg_snapshot)
          AND c.xid < %(upto)s::text::xid8)
FROM failback.changelog_state AS s
