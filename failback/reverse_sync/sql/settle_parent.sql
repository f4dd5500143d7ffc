-- Whether the row needs a parent that is not there; a parent that is there stays until our commit.
WITH needed AS (
    SELECT child.* FROM {child} AS child
    JOIN pg_temp.failback_settle_key AS k ON {child_is_k}
    WHERE {complete}
), found AS (
    SELECT FROM {parent} AS parent
    JOIN needed AS child ON {matches}
    FOR KEY SHARE OF parent
)
SELECT EXISTS (SELECT FROM needed) AND NOT EXISTS (SELECT FROM found)
