-- The shares of a catch-up, the largest first.
SELECT share, label, keys, rows, bytes, carried_at IS NOT NULL
FROM failback.catch_up_share
WHERE run = %(run)s
ORDER BY keys DESC, share
