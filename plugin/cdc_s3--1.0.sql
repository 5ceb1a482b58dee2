/*
 * cdc_s3--1.0.sql
 *	  Notices of schema changes, which logical decoding does not show.
 *
 * The plugin needs none of this.  With it, each DDL command leaves a logical
 * message in its own transaction, prefix "cdc_s3.ddl", content JSON:
 *
 *	{"version": 1, "tag": "ALTER TABLE", "table": "public.orders",
 *	 "schema": "public", "name": "orders", "oid": 16385,
 *	 "action": "rewrite", "resync": true}
 *
 * "resync" is true where rows changed, came or went without a change event,
 * so that a copy has to be loaded again: a table was rewritten with other
 * values, became logged or unlogged, a type changed in a way that its values
 * look otherwise, or a partition was attached, detached or dropped.
 *
 * What a command did is found by looking before and after it, and not by its
 * words, which may stand in a function.  What was seen before waits in
 * settings of the transaction, cdc_s3_ddl.*: they need no table.
 */
\echo Use "CREATE EXTENSION cdc_s3" to load this file. \quit

CREATE FUNCTION cdc_s3.emit_ddl(tag text, rel regclass, object_schema text,
	object_name text, action text, resync boolean) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_logical_emit_message(true, 'cdc_s3.ddl', json_build_object(
		'version', 1, 'tag', tag,
		'table', quote_ident(object_schema) || '.' || quote_ident(object_name),
		'schema', object_schema, 'name', object_name, 'oid', rel::oid::bigint,
		'action', action, 'resync', resync)::text)
$$;

/* All partitions, each as "its OID, that of its parent". */
CREATE FUNCTION cdc_s3.partitions() RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'seen' || coalesce(string_agg(format(',%s %s', i.inhrelid,
		i.inhparent), ''), '')
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE c.relispartition
$$;

/*
 * Tables that got or lost partitions since the command began, and partitions
 * that are tables of their own now.  Empty where nobody looked before.
 */
CREATE FUNCTION cdc_s3.moved() RETURNS oid[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen text[] := string_to_array(
		current_setting('cdc_s3_ddl.partitions', true), ',');
	now text[];
BEGIN
	PERFORM set_config('cdc_s3_ddl.partitions', '', true);
	IF seen IS NULL OR cardinality(seen) = 0 THEN
		RETURN '{}';
	END IF;
	now := string_to_array(cdc_s3.partitions(), ',');
	RETURN ARRAY(
		SELECT DISTINCT c.oid
		FROM (SELECT unnest(seen) EXCEPT SELECT unnest(now)
			UNION ALL (SELECT unnest(now) EXCEPT SELECT unnest(seen))) AS e(pair)
			JOIN pg_class c ON c.oid = split_part(pair, ' ', 2)::oid OR
				(c.oid = split_part(pair, ' ', 1)::oid AND NOT c.relispartition)
		WHERE c.relpersistence = 'p'
		ORDER BY c.oid);
END $$;

/*
 * What values of types made here look like, each as "key, look, type's OID":
 * the attributes of composite types, and of tables whose row is a type that
 * something else uses; with labels those of enums, too.
 */
CREATE FUNCTION cdc_s3.looks(labels boolean) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT 'seen' || coalesce(string_agg(look, ''), '')
	FROM (SELECT format(',c%s %s %s', c.oid, (SELECT string_agg(a.attnum::text, '.'
				ORDER BY a.attnum)
			FROM pg_attribute a
			WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
			c.reltype) AS look
		FROM pg_class c
		WHERE c.relkind = 'c' OR c.oid IN (
			SELECT t.typrelid
			FROM pg_depend d JOIN pg_type u ON u.oid = d.refobjid
				JOIN pg_type t ON t.oid IN (u.oid, u.typelem)
			WHERE d.refclassid = 'pg_type'::regclass AND t.typtype = 'c' AND
				d.deptype = 'n' AND
				d.classid IN ('pg_class'::regclass, 'pg_type'::regclass))
		UNION ALL
		SELECT format(',e%s %s %s', oid, md5(enumlabel), enumtypid)
		FROM pg_enum
		WHERE labels) AS l
$$;

/*
 * Tables with columns of types whose values look otherwise since the command
 * began: an attribute came or went, a label was renamed.
 */
CREATE FUNCTION cdc_s3.restyled(labels boolean) RETURNS oid[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	seen text[] := string_to_array(
		current_setting('cdc_s3_ddl.looks', true), ',');
	types oid[];
	made oid[];
BEGIN
	PERFORM set_config('cdc_s3_ddl.looks', '', true);
	IF seen IS NULL OR cardinality(seen) = 0 THEN
		RETURN '{}';
	END IF;
	made := ARRAY(
		SELECT DISTINCT split_part(n, ' ', 3)::oid
		FROM unnest(seen) AS s
			JOIN unnest(string_to_array(cdc_s3.looks(labels), ',')) AS n
			ON split_part(n, ' ', 1) = split_part(s, ' ', 1)
		WHERE split_part(n, ' ', 2) <> split_part(s, ' ', 2));
	WHILE cardinality(made) > 0 LOOP /* and what is made of these */
		types := types || made;
		made := ARRAY(
			SELECT t.oid
			FROM pg_type t
			WHERE t.oid <> ALL (types) AND (t.typelem = ANY (types) OR
				t.typbasetype = ANY (types) OR
				t.typrelid IN (SELECT attrelid FROM pg_attribute
					WHERE atttypid = ANY (types) AND attnum > 0 AND
						NOT attisdropped) OR
				t.oid IN (SELECT unnest(ARRAY[rngtypid, rngmultitypid])
					FROM pg_range WHERE rngsubtype = ANY (types))));
	END LOOP;
	RETURN ARRAY(
		SELECT c.oid
		FROM pg_class c
		WHERE types IS NOT NULL AND c.relkind IN ('r', 'p') AND
			c.relpersistence = 'p' AND c.oid IN (
				SELECT attrelid FROM pg_attribute
				WHERE atttypid = ANY (types) AND attnum > 0 AND
					NOT attisdropped)
		ORDER BY c.oid);
END $$;

CREATE FUNCTION cdc_s3.emit_all(tag text, tables oid[], action text) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT cdc_s3.emit_ddl(tag, c.oid::regclass, n.nspname, c.relname,
		action, true)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = ANY (tables) ORDER BY c.oid
$$;

/* Before a command that may move partitions, or change what values look like. */
CREATE FUNCTION cdc_s3.on_ddl_start() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('cdc_s3_ddl.partitions',
		CASE WHEN tg_tag = 'ALTER TYPE' THEN '' ELSE cdc_s3.partitions() END, true);
	PERFORM set_config('cdc_s3_ddl.looks',
		cdc_s3.looks(tg_tag = 'ALTER TYPE'), true);
	PERFORM set_config('cdc_s3_ddl.logged', '', true);
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

/*
 * At the end of a command: what was created or altered.  DETACH … CONCURRENTLY
 * ends in another transaction than it began in, so its words have to do.
 */
CREATE FUNCTION cdc_s3.on_ddl_end() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cmd record;
	logged text[] := string_to_array(
		current_setting('cdc_s3_ddl.logged', true), ' ');
	tables oid[] := '{}';
	is_moved boolean;
	is_logged boolean;
BEGIN
	IF tg_tag = 'ALTER TABLE' THEN
		tables := cdc_s3.moved();
	END IF;
	FOR cmd IN
		SELECT DISTINCT c.command_tag, c.objid, n.nspname, r.relname, r.relkind
		FROM pg_event_trigger_ddl_commands() c
			JOIN pg_class r ON r.oid = c.objid
			JOIN pg_namespace n ON n.oid = r.relnamespace
		WHERE c.classid = 'pg_class'::regclass AND r.relkind IN ('r', 'p')
			AND r.relpersistence = 'p'
	LOOP
		is_moved := cmd.objid = ANY (tables) OR
			(cmd.command_tag = 'ALTER TABLE' AND cmd.relkind = 'p' AND
			current_query() ~* '\mdetach\M.*\mconcurrently\M');
		is_logged := coalesce(cmd.objid::text = ANY (logged), false);
		tables := array_remove(tables, cmd.objid);
		PERFORM cdc_s3.emit_ddl(cmd.command_tag, cmd.objid::regclass,
			cmd.nspname, cmd.relname,
			CASE WHEN is_moved THEN 'partition'
				WHEN is_logged THEN 'rewrite'
				WHEN cmd.command_tag ~ '^(CREATE|SELECT INTO)' THEN 'create'
				ELSE 'alter' END, is_moved OR is_logged);
	END LOOP;
	PERFORM cdc_s3.emit_all(tg_tag, tables, 'partition');
	PERFORM cdc_s3.emit_all(tg_tag, cdc_s3.restyled(tg_tag = 'ALTER TYPE'),
		'rewrite');
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

/* A partition that is dropped takes rows out of its root. */
CREATE FUNCTION cdc_s3.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	obj record;
BEGIN
	FOR obj IN
		SELECT objid, schema_name, object_name, tag
		FROM pg_event_trigger_dropped_objects(),
			(SELECT tg_tag AS tag) t
		WHERE object_type = 'table' AND NOT is_temporary
	LOOP
		PERFORM cdc_s3.emit_ddl(obj.tag, obj.objid::regclass, obj.schema_name,
			obj.object_name, 'drop', false);
	END LOOP;
	IF tg_tag <> 'ALTER TABLE' THEN
		PERFORM cdc_s3.emit_all(tg_tag, cdc_s3.moved(), 'partition');
	END IF;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

/*
 * Another type, a volatile default, SET LOGGED: all rows, and no event.  A
 * table that becomes logged is not yet, so its notice comes at the end.
 */
CREATE FUNCTION cdc_s3.on_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tab regclass := pg_event_trigger_table_rewrite_oid();
	persistence CONSTANT int := 1; /* AT_REWRITE_ALTER_PERSISTENCE */
	schema_name text;
	table_name text;
BEGIN
	IF pg_event_trigger_table_rewrite_reason() & persistence <> 0 THEN
		PERFORM set_config('cdc_s3_ddl.logged', concat_ws(' ',
			current_setting('cdc_s3_ddl.logged', true), tab::oid), true);
	END IF;
	SELECT n.nspname, r.relname INTO schema_name, table_name
	FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
	WHERE r.oid = tab AND r.relpersistence = 'p';
	IF FOUND THEN
		PERFORM cdc_s3.emit_ddl(tg_tag, tab, schema_name, table_name, 'rewrite',
			true);
	END IF;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

CREATE EVENT TRIGGER cdc_s3_ddl_start ON ddl_command_start
	WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE', 'DROP TABLE', 'DROP SCHEMA', 'DROP OWNED',
		'DROP EXTENSION', 'DROP TYPE', 'DROP DOMAIN')
	EXECUTE FUNCTION cdc_s3.on_ddl_start();
CREATE EVENT TRIGGER cdc_s3_ddl_end ON ddl_command_end
	EXECUTE FUNCTION cdc_s3.on_ddl_end();
CREATE EVENT TRIGGER cdc_s3_drop ON sql_drop
	EXECUTE FUNCTION cdc_s3.on_drop();
CREATE EVENT TRIGGER cdc_s3_rewrite ON table_rewrite
	EXECUTE FUNCTION cdc_s3.on_rewrite();

/* Whoever may change a table may note it. */
GRANT USAGE ON SCHEMA cdc_s3 TO PUBLIC;
