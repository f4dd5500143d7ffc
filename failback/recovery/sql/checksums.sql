-- Pages of this database whose checksum did not hold when they were read.
SELECT current_setting('data_checksums') = 'on', checksum_failures, checksum_last_failure
FROM pg_stat_database
WHERE datname = current_database()
