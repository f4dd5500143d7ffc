"""Tables that stand in an unusual relation to others or to their servers, as data."""

from support.every_table import OWNER, Kind, churn, table

_PARTED = "(id int, day int, v text, PRIMARY KEY (id, day))"
_DAYS = "n, n % 30, 'v' || n"
_MOVE = "day = (day + 11) % 30"

CONSTRAINTS = (
    Kind(
        "unique values are swapped",
        ("CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE DEFERRABLE, w int)",),
        (
            ("INSERT INTO t SELECT n, n, 0 FROM generate_series(1, 40) AS n",),
            (
                "SET CONSTRAINTS ALL DEFERRED",
                "UPDATE t SET place = 41 - place",
            ),
            ("SET CONSTRAINTS ALL DEFERRED", "UPDATE t SET place = 1 + place % 40"),
        ),
    ),
    Kind(
        "exclusion constraint",
        (
            (
                "CREATE TABLE t (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&)"
                " DEFERRABLE)"
            ),
            "CREATE TABLE u (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&))",
        ),
        (
            (
                "INSERT INTO t SELECT n, int4range(n, n + 1) FROM generate_series(1, 40) AS n",
                "INSERT INTO u TABLE t",
            ),
            ("SET CONSTRAINTS ALL DEFERRED", "UPDATE t SET r = int4range(41 - id, 42 - id)"),
            (
                "DELETE FROM u WHERE id < 3",
                "INSERT INTO u VALUES (50, '[1,3)')",
                "UPDATE u SET r = 'empty' WHERE id % 2 = 0",
            ),
        ),
    ),
    Kind(
        "foreign keys in cycles",
        (
            "CREATE TABLE a (id int PRIMARY KEY, b int)",
            "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE)",
            "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE SET NULL DEFERRABLE",
            "CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self ON DELETE CASCADE)",
        ),
        (
            (
                "SET CONSTRAINTS ALL DEFERRED",
                "INSERT INTO a SELECT n, n FROM generate_series(1, 30) AS n",
                "INSERT INTO b SELECT n, 31 - n FROM generate_series(1, 30) AS n",
                "INSERT INTO self SELECT n, nullif(n / 2, 0) FROM generate_series(1, 30) AS n",
            ),
            ("DELETE FROM a WHERE id % 5 = 0", "DELETE FROM self WHERE id = 7"),
            ("UPDATE a SET b = NULL WHERE id % 3 = 0", "UPDATE self SET up = 1 WHERE id > 20"),
        ),
    ),
    Kind(
        "triggers on the source",
        ("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE log (id int PRIMARY KEY)"),
        churn("t", "n, 'v'", "v = v || '!'"),
        source=(
            (
                "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN INSERT INTO public.log VALUES (NEW.id); NEW.v = 'meddled';"
                " RETURN NEW; END$$"
            ),
            (
                "CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON t"
                " FOR EACH ROW EXECUTE FUNCTION meddle()"
            ),
            "CREATE RULE shadow AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id + 5000)",
        ),
    ),
    Kind(
        "row security",
        (
            "CREATE TABLE t (id int PRIMARY KEY, tenant text)",
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY all_of_it ON t TO product USING (true) WITH CHECK (true)",
        ),
        churn("t", "n, 'tenant ' || n % 3", "tenant = 'moved'"),
    ),
)

LAYOUTS = (
    Kind(
        "partitions by range",
        (
            f"CREATE TABLE t {_PARTED} PARTITION BY RANGE (day)",
            "CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (MINVALUE) TO (10)",
            "CREATE TABLE t_b PARTITION OF t FOR VALUES FROM (10) TO (20)",
            "CREATE TABLE t_rest PARTITION OF t DEFAULT",
        ),
        (*churn("t", _DAYS, _MOVE), ("TRUNCATE t_b",), ("DELETE FROM t_a WHERE id % 2 = 0",)),
    ),
    Kind(
        "partitions by list, in two levels",
        (
            f"CREATE TABLE t {_PARTED} PARTITION BY LIST (day)",
            (
                "CREATE TABLE t_low PARTITION OF t FOR VALUES IN"
                f" ({', '.join(map(str, range(15)))})"
                " PARTITION BY HASH (id)"
            ),
            "CREATE TABLE t_low_0 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            "CREATE TABLE t_low_1 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            "CREATE TABLE t_high PARTITION OF t DEFAULT",
        ),
        (*churn("t", _DAYS, _MOVE), ("TRUNCATE t_low",)),
    ),
    Kind(
        "partitions by hash, differently on the two sides",
        (f"CREATE TABLE t {_PARTED} PARTITION BY HASH (id)",),
        churn("t", _DAYS, "id = id + 1000"),
        source=("CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",),
        target=tuple(
            f"CREATE TABLE t_{n} PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER {n})"
            for n in range(3)
        ),
    ),
    Kind(
        "partitions whose columns stand in another order",
        (f"CREATE TABLE t {_PARTED} PARTITION BY RANGE (day)",),
        churn("t", _DAYS, _MOVE),
        source=("CREATE TABLE t_all PARTITION OF t DEFAULT",),
        target=(
            "CREATE TABLE t_a (v text, gone int, day int NOT NULL, id int NOT NULL)",
            "ALTER TABLE t_a DROP COLUMN gone",
            "ALTER TABLE t ATTACH PARTITION t_a FOR VALUES FROM (0) TO (15)",
            "CREATE TABLE t_b PARTITION OF t FOR VALUES FROM (15) TO (60)",
        ),
    ),
    Kind(
        "parent and children",
        (
            "CREATE TABLE parent (id int PRIMARY KEY, v text)",
            "CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent)",
            "CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (child)",
        ),
        (
            *churn("parent", "n, 'p'", "v = v || '!'", "(id, v)"),
            *churn("child", "n, 'c', n", "v = v || '!'", "(id, v, extra)"),
            *churn("grandchild", "n, 'g', n", "extra = 7", "(id, v, extra)"),
            ("DELETE FROM ONLY parent WHERE id % 2 = 0", "UPDATE parent SET v = 'all'"),
            ("TRUNCATE ONLY parent",),
            ("TRUNCATE child",),
        ),
    ),
    Kind(
        "TRUNCATE, with CASCADE",
        (
            "CREATE TABLE a (id int PRIMARY KEY)",
            "CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a)",
        ),
        (
            (
                "INSERT INTO a SELECT generate_series(1, 30)",
                "INSERT INTO b (a) SELECT generate_series(1, 30)",
            ),
            ("TRUNCATE a CASCADE", "INSERT INTO a VALUES (3), (99)"),
            ("INSERT INTO b (a) VALUES (99)", "TRUNCATE b RESTART IDENTITY"),
        ),
        role=OWNER,
    ),
    Kind(
        "TRUNCATE of a table without a key",
        ("CREATE TABLE t (a int)",),
        (
            ("INSERT INTO t SELECT n % 3 FROM generate_series(1, 30) AS n",),
            ("TRUNCATE t", "INSERT INTO t VALUES (1), (1), (NULL), (NULL)"),
            ("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)",),
        ),
        role=OWNER,
    ),
    Kind(
        "odd names",
        (
            (
                'CREATE TABLE "Größe ""2""" ("Straße" int, "select" text, "a.b %s {x}" int,'
                ' PRIMARY KEY ("Straße"))'
            ),
        ),
        churn('"Größe ""2"""', "n, 'v', n", '"select" = NULL, "a.b %s {x}" = 0'),
    ),
    Kind(
        "columns that were dropped, in another order",
        (),
        churn("t", "n, 'b' || n, n * 1.5", "b = NULL", "(id, b, c)"),
        source=("CREATE TABLE t (c numeric, id int PRIMARY KEY, b text)",),
        target=(
            "CREATE TABLE t (x int, b text, y int, id int PRIMARY KEY, c numeric)",
            "ALTER TABLE t DROP COLUMN x, DROP COLUMN y",
        ),
    ),
    Kind(
        "columns in another order without a key",
        (),
        churn("t", "n % 3, 'b' || n % 2", "b = NULL", "(a, b)"),
        source=("CREATE TABLE t (b text, a int)",),
        target=("CREATE TABLE t (x int, a int, b text)", "ALTER TABLE t DROP COLUMN x"),
    ),
    table("nothing but a key", "id int PRIMARY KEY", "n", "id = -id"),
)
