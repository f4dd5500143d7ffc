UPDATE failback.estate SET sender = %(sender)s, turn = %(turn)s
WHERE (sender, turn) IS DISTINCT FROM (%(sender)s, %(turn)s)
