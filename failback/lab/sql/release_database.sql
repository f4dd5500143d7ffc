-- End the other sessions of this database and drop its slots, so that it can be dropped.
DO $$
DECLARE
    slot record;
BEGIN
    PERFORM pg_terminate_backend(pid, 5000)
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();

    FOR slot IN SELECT slot_name FROM pg_replication_slots WHERE database = current_database()
    LOOP
        PERFORM pg_drop_replication_slot(slot.slot_name);
    END LOOP;
END
$$;
