-- A run whose session is gone has ended, whatever a crash left in the table.
SELECT DISTINCT run.jobid
FROM cron.job_run_details AS run
WHERE
    run.jobid = ANY(%(jobs)s::bigint [])
    AND run.status IN ('starting', 'connecting', 'sending', 'running')
    AND EXISTS (SELECT FROM pg_stat_activity AS session WHERE session.pid = run.job_pid)
ORDER BY run.jobid;
