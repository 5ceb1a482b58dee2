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
 * values, became logged or unlogged, or a partition was attached or detached.
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

/*
 * At the end of a command: what was created or altered.  Which partition came
 * or went is not told to event triggers, so the words of the command are looked
 * at; a false alarm costs a load, a missed one would cost rows.
 */
CREATE FUNCTION cdc_s3.on_ddl_end() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cmd record;
	moved boolean;
BEGIN
	FOR cmd IN
		SELECT DISTINCT c.command_tag, c.objid, n.nspname, r.relname, r.relkind
		FROM pg_event_trigger_ddl_commands() c
			JOIN pg_class r ON r.oid = c.objid
			JOIN pg_namespace n ON n.oid = r.relnamespace
		WHERE c.classid = 'pg_class'::regclass AND r.relkind IN ('r', 'p')
			AND r.relpersistence = 'p'
	LOOP
		moved := cmd.command_tag = 'ALTER TABLE' AND cmd.relkind = 'p' AND
			current_query() ~* '\m(attach|detach|merge|split)\M';
		PERFORM cdc_s3.emit_ddl(cmd.command_tag, cmd.objid::regclass,
			cmd.nspname, cmd.relname,
			CASE WHEN moved THEN 'partition'
				WHEN cmd.command_tag ~ '^(CREATE|SELECT INTO)' THEN 'create'
				ELSE 'alter' END, moved);
	END LOOP;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

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
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

/* Another type, a volatile default, SET LOGGED: all rows, and no event. */
CREATE FUNCTION cdc_s3.on_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tab regclass := pg_event_trigger_table_rewrite_oid();
	schema_name text;
	table_name text;
BEGIN
	SELECT n.nspname, r.relname INTO schema_name, table_name
	FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
	WHERE r.oid = tab AND r.relpersistence <> 't';
	IF FOUND THEN
		PERFORM cdc_s3.emit_ddl(tg_tag, tab, schema_name, table_name, 'rewrite',
			true);
	END IF;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'schema change was not noted for cdc_s3: %', SQLERRM;
END $$;

CREATE EVENT TRIGGER cdc_s3_ddl_end ON ddl_command_end
	EXECUTE FUNCTION cdc_s3.on_ddl_end();
CREATE EVENT TRIGGER cdc_s3_drop ON sql_drop
	EXECUTE FUNCTION cdc_s3.on_drop();
CREATE EVENT TRIGGER cdc_s3_rewrite ON table_rewrite
	EXECUTE FUNCTION cdc_s3.on_rewrite();

/* Whoever may change a table may note it. */
GRANT USAGE ON SCHEMA cdc_s3 TO PUBLIC;
