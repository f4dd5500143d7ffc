SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
-- ANALYZE has to tell keys that are all different from a few values, which a sample does.
SET LOCAL default_statistics_target = 10;
-- A batch's keys of one table in memory; beyond it the table's rows go through temporary files.
SET LOCAL work_mem = '64MB';
