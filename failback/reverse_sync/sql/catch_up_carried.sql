UPDATE failback.catch_up_share
SET rows = %(rows)s, bytes = %(bytes)s, carried_at = clock_timestamp()
WHERE run = %(run)s AND share = %(share)s
