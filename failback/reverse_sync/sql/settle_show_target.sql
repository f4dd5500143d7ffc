UPDATE failback.conflicts SET target_image = %(image)s WHERE id = %(id)s AND settled_at IS NULL
