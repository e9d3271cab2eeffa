SET client_min_messages = error;
DO $hostel$
DECLARE
    thing record;
BEGIN
    -- Schemas other than those that every database has, unless an extension is in them.
    FOR thing IN
        SELECT n.nspname FROM pg_catalog.pg_namespace n
        WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND d.objid = n.oid AND d.deptype = 'e')
    LOOP
        EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', thing.nspname);
    END LOOP;
    -- What is in those that stay. Dropping one thing may take others along, so each is looked for again.
    LOOP
        SELECT found.what, found.name INTO thing FROM (
            SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS what,
                pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.tableoid AS class, c.oid, n.nspname
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
            AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = c.tableoid AND d.objid = c.oid AND d.deptype = 'i'))
            UNION ALL
            SELECT CASE p.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                    CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*' ELSE pg_catalog.pg_get_function_identity_arguments(p.oid) END),
                p.tableoid, p.oid, n.nspname
            FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            UNION ALL
            SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
                pg_catalog.format('%I.%I', n.nspname, t.typname), t.tableoid, t.oid, n.nspname
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            WHERE t.typtype IN ('d', 'e', 'r') OR (t.typtype IN ('b', 'p') AND t.typelem = 0)
            UNION ALL
            SELECT 'OPERATOR', pg_catalog.format('%I.%s(%s,%s)', n.nspname, o.oprname,
                CASE o.oprleft WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprleft, NULL) END,
                CASE o.oprright WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprright, NULL) END), o.tableoid, o.oid, n.nspname
            FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
            UNION ALL
            SELECT 'COLLATION', pg_catalog.format('%I.%I', n.nspname, c.collname), c.tableoid, c.oid, n.nspname
            FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
            UNION ALL
            SELECT 'CONVERSION', pg_catalog.format('%I.%I', n.nspname, c.conname), c.tableoid, c.oid, n.nspname
            FROM pg_catalog.pg_conversion c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
            UNION ALL
            SELECT 'OPERATOR FAMILY', pg_catalog.format('%I.%I USING %I', n.nspname, f.opfname, a.amname), f.tableoid, f.oid, n.nspname
            FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
            JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
            UNION ALL
            SELECT 'TEXT SEARCH CONFIGURATION', pg_catalog.format('%I.%I', n.nspname, c.cfgname), c.tableoid, c.oid, n.nspname
            FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
            UNION ALL
            SELECT 'TEXT SEARCH DICTIONARY', pg_catalog.format('%I.%I', n.nspname, d.dictname), d.tableoid, d.oid, n.nspname
            FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
        ) found
        WHERE found.nspname !~ '^pg_' AND found.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        EXECUTE pg_catalog.format('DROP %s %s CASCADE', thing.what, thing.name);
    END LOOP;
    PERFORM pg_catalog.lo_unlink(l.oid) FROM pg_catalog.pg_largeobject_metadata l
        WHERE pg_catalog.pg_has_role(l.lomowner, 'USAGE');
END
$hostel$
