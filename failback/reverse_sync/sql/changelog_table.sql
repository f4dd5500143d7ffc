CREATE TABLE IF NOT EXISTS failback.{log} ({columns}) INHERITS (failback.changelog)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
          autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1)
