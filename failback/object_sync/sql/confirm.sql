-- What was listed with the ETag that it was written with, and so long ago that its next write has
-- another time.
UPDATE known SET source_modified = s.modified
FROM seen_source AS s
WHERE known.pair = :pair
  AND known.source_modified IS NULL
  AND known.source_etag IS NOT NULL
  AND s.key = known.key
  AND s.etag = known.source_etag
  AND s.settled;
