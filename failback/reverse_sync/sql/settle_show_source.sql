UPDATE failback.conflicts SET source_image = %(image)s WHERE id = %(id)s AND settled_at IS NULL
