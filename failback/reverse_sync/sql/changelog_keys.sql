COPY (
    SELECT DISTINCT {columns}
    FROM ONLY failback.{log}
    WHERE NOT pg_visible_in_snapshot(xid, {applied}::pg_snapshot)
      AND xid < {upto}::xid8
) TO STDOUT (FORMAT binary)
