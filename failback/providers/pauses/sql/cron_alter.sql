SELECT cron.alter_job(job_id := jobid, active := %(active)s)
FROM unnest(%(jobs)s::bigint []) AS jobid;
