-- The first lock is held in share by consumers with priority: one without does not even try.
SELECT CASE
           WHEN %(priority)s OR pg_try_advisory_xact_lock(%(space)s, %(urgent)s)
           THEN pg_try_advisory_xact_lock(%(space)s, %(consumer)s)
           ELSE false
       END
