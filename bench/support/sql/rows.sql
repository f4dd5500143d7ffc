-- Row number n of each table in its version v: the same on every server, without randomness.
CREATE SCHEMA bench;

CREATE FUNCTION bench.accounts(n bigint, v int, at timestamptz) RETURNS TABLE (
    id uuid, email text, name text, plan plan, settings jsonb, credit numeric,
    created_at timestamptz, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT md5('account ' || n)::uuid, 'person-' || n || '@example.org', 'Person ' || md5(n || '/' || v),
           (enum_range(NULL::plan))[1 + (n + v) % 4],
           jsonb_build_object('theme', md5(v || 'theme' || n), 'limits', jsonb_build_array(n, v, n % 7)),
           CASE WHEN n % 10 = 0 THEN NULL ELSE ((n * 37 + v) % 1000000) / 100.0 END,
           '2026-01-01 00:00:00+00'::timestamptz + make_interval(secs => n), at
$$;

CREATE FUNCTION bench.orders(n bigint, v int, at timestamptz) RETURNS TABLE (
    id bigint, account uuid, status order_status, total numeric, note text,
    placed_at timestamptz, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT n, md5('account ' || n % 100000)::uuid, (enum_range(NULL::order_status))[1 + (n + v) % 4],
           ((n * 91 + v) % 9000000) / 100.0,
           CASE WHEN n % 3 = 0 THEN NULL ELSE 'note ' || md5(n || '-' || v) END,
           '2026-01-01 00:00:00+00'::timestamptz + make_interval(secs => n), at
$$;

CREATE FUNCTION bench.order_lines(n bigint, v int, at timestamptz) RETURNS TABLE (
    order_id bigint, line int, sku text, quantity int, price numeric, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT 1 + n / 3, (n % 3)::int, 'SKU-' || n % 5000, ((n + v) % 12)::int, ((n * 7 + v) % 100000) / 100.0, at
$$;

CREATE FUNCTION bench.documents(n bigint, v int, at timestamptz) RETURNS TABLE (
    id uuid, title text, body text, tags text[], updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT md5('document ' || n)::uuid, 'Title ' || n || '.' || v, repeat(md5(n || ':' || v) || ' ', 4 + (n % 24)::int),
           ARRAY['t' || n % 50, 'u' || v % 9], at
$$;

CREATE FUNCTION bench.events(n bigint, v int, at timestamptz) RETURNS TABLE (
    id bigint, payload jsonb, address inet, took interval, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT n, jsonb_build_object('kind', 'kind-' || n % 20, 'value', n * 3 + v, 'trace', md5(n || ' ' || v)),
           ('10.' || n % 200 || '.' || n % 250 || '.' || v % 250)::inet, make_interval(secs => (n % 900) / 7.0), at
$$;

CREATE FUNCTION bench.sessions(n bigint, v int, at timestamptz) RETURNS TABLE (
    token text, account uuid, agent text, expires_at timestamptz, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT 'sess_' || md5('session ' || n), md5('account ' || n % 100000)::uuid, 'Agent/' || v || '.' || n % 30,
           '2026-06-01 00:00:00+00'::timestamptz + make_interval(secs => n + v), at
$$;

CREATE FUNCTION bench.ledger(n bigint, v int, at timestamptz) RETURNS TABLE (
    id bigint, amount numeric, period daterange, code char(8), receipt bytea, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT n * 11, (n * 1000003 + v)::numeric / 10000, daterange('2026-01-01'::date + (n % 300)::int, '2027-01-01'),
           'C' || n % 999, decode(md5(n || '.' || v), 'hex'), at
$$;

CREATE FUNCTION bench.memberships(n bigint, v int, at timestamptz) RETURNS TABLE (
    workspace int, account uuid, role text, weight float8, updated_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT (n % 400)::int, md5('account ' || n)::uuid, CASE (n + v) % 3 WHEN 0 THEN 'owner' ELSE 'member' END,
           (n + v) / 7.0::float8, at
$$;
