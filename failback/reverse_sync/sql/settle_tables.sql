-- The conflict's key, the row that is wanted and the row as it was, with the table's own types.
-- Gone at the end of the transaction.
CREATE TEMPORARY TABLE failback_settle_key ON COMMIT DROP AS
    SELECT {key} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE failback_settle_row ON COMMIT DROP AS
    SELECT {columns} FROM {table} WITH NO DATA;
CREATE TEMPORARY TABLE failback_settle_was ON COMMIT DROP AS
    SELECT {columns} FROM {table} WITH NO DATA;
