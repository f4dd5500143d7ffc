-- Which version has the later value; null where one has none, or both have the same.
SELECT CASE WHEN v.source > v.target THEN 'source' WHEN v.target > v.source THEN 'target' END
FROM (SELECT %(source)s::{type} AS source, %(target)s::{type} AS target) AS v
