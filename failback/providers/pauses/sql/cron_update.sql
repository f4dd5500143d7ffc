UPDATE cron.job SET active = %(active)s WHERE jobid = ANY(%(jobs)s::bigint []);
