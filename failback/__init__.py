"""failback: durable, rehearsed, provably lossless rollback of live Postgres migrations."""
