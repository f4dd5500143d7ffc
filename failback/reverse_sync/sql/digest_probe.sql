-- Hashes of fixed values of every type that digests pass through unchanged or in binary form, and of
-- those that keys are parted by. Two servers that agree here agree on every row.
SELECT hash_record_extended(ROW(
    image,
    hash_record_extended(ROW(
        true, -7::int2, 2147483647::int4, -9007199254740993::int8, '2026-01-31'::date, 4000000000::oid,
        'text é'::text COLLATE "C", 'v'::varchar COLLATE "C", '\x00ff'::bytea, '10.0.0.1/8'::inet,
        '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8,
        '00000000-0000-0000-0000-000000000001'::uuid, NULL::text
    ), {seed}),
    hashint8extended(0, hashint8extended(-9007199254740993, hashint8extended(7, 0))),
    uuid_hash_extended('00000000-0000-0000-0000-000000000001', 0)
), {seed}) AS hash
FROM (
    SELECT record_send(ROW(
        -2::int4, 9007199254740993::int8, 1.50::numeric, 'NaN'::numeric, 0.1::float4, -0.0::float8,
        'NaN'::float8, 'text é'::text, 'b'::char(3), 'c'::"char", 'n'::name, '{{"a": 1.0}}'::jsonb,
        '{{"a":  1.0}}'::json, '24:00'::time, '12:00+02'::timetz, '2026-01-31 12:00'::timestamp,
        '2026-01-31 12:00+00'::timestamptz, 'infinity'::timestamptz, '1 mon 30 days'::interval,
        B'101'::bit(3), B'1011'::varbit, 'a:1 b:2A'::tsvector, '7'::xid, '16/B374D848'::pg_lsn,
        ARRAY[1, NULL, 3], ARRAY['x', 'NULL', NULL], '[1,5)'::int4range, '(1.0,2.00]'::numrange,
        '{{[1,3),[5,8)}}'::int4multirange, 12.34::money, NULL::text
    )) AS image
    OFFSET 0
) AS images
