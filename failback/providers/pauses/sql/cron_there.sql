SELECT
    to_regclass('cron.job') IS NOT NULL AS installed,
    to_regprocedure('cron.alter_job(bigint, text, text, text, text, boolean)') IS NOT NULL AS alters,
    to_regclass('cron.job_run_details') IS NOT NULL AS tells_runs;
