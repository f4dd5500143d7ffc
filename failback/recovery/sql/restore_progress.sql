-- How far a restore into one database has got: tables with rows, rows that are there or on their
-- way, and bytes on the disk.
SELECT (SELECT count(*) FROM pg_stat_user_tables WHERE n_tup_ins > 0),
       (SELECT coalesce(sum(n_tup_ins), 0) FROM pg_stat_user_tables)
       + (SELECT coalesce(sum(tuples_processed), 0) FROM pg_stat_progress_copy
          WHERE datname = current_database()),
       pg_database_size(current_database())
