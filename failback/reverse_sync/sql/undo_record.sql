INSERT INTO failback.undo (kind, object, was)
VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
