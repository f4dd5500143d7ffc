-- Keys that both sides changed: all of them, where the receiver truncated the table.
INSERT INTO {parked}
SELECT DISTINCT ON ({k_same}) {k_key}, 'changed on both sides'
FROM {keys} AS k
WHERE {truncated} OR EXISTS (SELECT FROM {changed} AS c WHERE {k_is_c})
