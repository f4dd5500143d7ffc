-- Hashes of fixed values of every type that digests pass through unchanged, and of those that keys
-- are parted by. Two servers that agree here agree on every row.
SELECT hash_record_extended(ROW(
    image,
    hashint8extended(-9007199254740993, hashint8extended(7, 0)),
    uuid_hash_extended('00000000-0000-0000-0000-000000000001', 0)
), {seed}) AS hash
FROM (
    SELECT record_send(ROW(
        true, 1::int2, -2::int4, 9007199254740993::int8, 1.50::numeric, 'NaN'::numeric,
        0.1::float4, -0.0::float8, 'NaN'::float8, 'text é'::text, 'v'::varchar, 'b'::char(3),
        '\x00ff'::bytea, '00000000-0000-0000-0000-000000000001'::uuid, '{{"a": 1.0}}'::jsonb,
        '2026-01-31'::date, '24:00'::time, '12:00+02'::timetz, '2026-01-31 12:00'::timestamp,
        '2026-01-31 12:00+00'::timestamptz, '1 mon 30 days'::interval, '10.0.0.0/8'::inet,
        '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, B'101'::bit(3), B'1011'::varbit,
        'a:1 b:2A'::tsvector, '16/B374D848'::pg_lsn, ARRAY[1, NULL, 3], ARRAY['x', 'NULL', NULL],
        '[1,5)'::int4range, '(1.0,2.00]'::numrange, '{{[1,3),[5,8)}}'::int4multirange, 12.34::money,
        NULL::text
    )) AS image
    OFFSET 0
) AS images
