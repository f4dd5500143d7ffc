-- Every row that the receiver has counts as changed.
INSERT INTO {keys} SELECT {t_key} FROM {table} AS t
