-- Early versions of pg_cron have no names.
SELECT jobid, coalesce(to_jsonb(job) ->> 'jobname', ''), active
FROM cron.job AS job
ORDER BY jobid;
