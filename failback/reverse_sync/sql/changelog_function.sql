-- Writers have no right to the changelog: it is written with the right of failback's role. All is
-- qualified, because the writer's search_path is in force; a transition table's name goes before
-- any table's.
CREATE OR REPLACE FUNCTION failback.{log}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        {insert}
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        {update}
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        {delete}
    ELSE
        INSERT INTO failback.changelog (relation) VALUES ({oid});
    END IF;
    RETURN NULL;
END
$$
