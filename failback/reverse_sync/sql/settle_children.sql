-- Whether rows refer to the row as it was, and to none that is there now.
SELECT EXISTS (
    SELECT FROM {child} AS child
    JOIN pg_temp.failback_settle_was AS was ON {was_matches}
    WHERE {complete} AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE {matches})
)
