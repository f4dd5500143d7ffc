WITH gone AS (
    DELETE FROM auth.users WHERE id = %(user_id)s::uuid RETURNING id, email
), audited AS (
    INSERT INTO auth.audit_log_entries (payload)
    SELECT json_build_object('action', 'user_deleted', 'actor_username', 'service_role',
        'log_type', 'team', 'traits', json_build_object('user_id', id), 'timestamp', now())
    FROM gone
)
SELECT id FROM gone
